// Where the reference vocabularies are. Those beside the repository are others' data: tests of them are skipped where it is absent.
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporary } from '../../temporary.ts';

export const MODELS = 'test/fixtures/models';
export const SHARED = '../shared/refs';
export const LLAMA_2 = `${SHARED}/tokenizers/llama-2.tokenizer.model`;
export const STORIES = `${SHARED}/stories260K`;

/** For `test.skipIf`; says why on the console. */
export function isAbsent(path: string): boolean {
  if (existsSync(path)) return false;
  console.warn(`skipped: ${path} is not there (reference data beside the repository)`);
  return true;
}

export interface Pair {
  text: string;
  ids: number[];
}

export function ownPairs(): Pair[] {
  return JSON.parse(readFileSync(`${MODELS}/own512.pairs.json`, 'utf8')).pairs;
}

/** A folder for the tests of one file. Contents by file name: text or bytes, or `{ from }` for a copy. */
export function folderWith(files: Record<string, string | Uint8Array | { from: string }>): string {
  const folder = temporary();
  for (const [name, file] of Object.entries(files)) {
    const path = join(folder, name);
    if (typeof file === 'object' && 'from' in file) copyFileSync(file.from, path);
    else writeFileSync(path, file);
  }
  return folder;
}
