// JSON files of a model folder: data, never code.
import { readFile } from 'node:fs/promises';

/** The model folder is not what it should be, in one sentence. */
export class ModelError extends Error {
  override name = 'ModelError';
}

export async function readObject(path: string): Promise<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    throw new ModelError(`${path} must be a JSON file that can be read: ${(error as Error).message}.`);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new ModelError(`${path} must hold one JSON object.`);
}
