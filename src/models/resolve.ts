// A model argument, a path or a name of the Hub, becomes a folder known to hold a config, safetensors and a tokenizer. What the
// files say is checked by whoever reads them: tensors and shapes by the native loader, the vocabulary by text/.
import { readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type HubName, parseName, titleOf } from '../hub/name.ts';
import { type GgufFile, loadAddon } from '../native/addon.ts';
import { packageRoot } from '../root.ts';
import { type Generation, readGeneration } from './generation.ts';
import { ggufGeneration, ggufTitle, isGguf } from './gguf.ts';
import { ModelError, readObject } from './read.ts';

/** Served when no model is named: it comes with the program (training/ is how it was made). */
export const DEMO_MODEL = fileURLToPath(new URL('models/demo', packageRoot));

export interface ModelFolder {
  path: string;
  /** The folder's own name, or the Hub's without the revision: how the API calls the model unless told otherwise. */
  name: string;
  generation: Generation;
  /** What a .gguf file says of itself; `path` is then that file, of a split model the first. */
  gguf?: GgufFile;
}

export type Located = Pick<ModelFolder, 'path' | 'name'>;

/** What is a path is one; `fetchModel` gives the path of what can only be a name of the Hub. */
export async function locateModel(model: string, fetchModel: (name: HubName) => Promise<string>): Promise<Located> {
  const path = resolve(model);
  const name = parseName(model);
  if (name === null || (await stat(path).catch(() => null))) return { path, name: basename(path) };
  return { path: await fetchModel(name), name: titleOf(name) };
}

const EXPECTED = 'a .gguf file, or a folder with config.json, *.safetensors and tokenizer.json or tokenizer.model';

async function listFolder(path: string): Promise<string[]> {
  const found = await stat(path).catch(() => null);
  if (!found) throw new ModelError(`Model "${path}" does not exist; give ${EXPECTED}, or a repository of the Hub as org/repo.`);
  if (found.isDirectory()) return readdir(path);
  const advice = path.endsWith('.safetensors') ? 'give the folder that it lies in' : `give ${EXPECTED}`;
  throw new ModelError(`Model "${path}" is a file; ${advice}.`);
}

async function checkShards(path: string, files: ReadonlySet<string>): Promise<void> {
  const index = join(path, 'model.safetensors.index.json');
  const { weight_map: map } = await readObject(index);
  if (typeof map !== 'object' || map === null)
    throw new ModelError(`${index} must have a "weight_map" that names the file of each tensor.`);
  const missing = [...new Set(Object.values(map))].filter((shard) => !files.has(String(shard)));
  if (missing.length > 0)
    throw new ModelError(
      `Model "${path}" lacks ${missing.join(', ')}, which its model.safetensors.index.json names; download the model again.`,
    );
}

async function checkWeights(path: string, files: ReadonlySet<string>): Promise<void> {
  if (files.has('model.safetensors.index.json')) return checkShards(path, files);
  if (files.has('model.safetensors')) return;
  const pickle = [...files].find((file) => /\.(bin|pt|pth)$/.test(file));
  if (pickle) {
    throw new ModelError(
      `Model "${path}" has its weights as ${pickle}, a pickle file, which can run code when it is read; convert it to safetensors (transformers: save_pretrained with safe_serialization=True).`,
    );
  }
  throw new ModelError(
    `Model "${path}" has no weights: model.safetensors, or model.safetensors.index.json with its files, must be there.`,
  );
}

function resolveGguf(path: string, name: string): ModelFolder {
  const gguf = loadAddon().readGguf(path);
  return { path, name: ggufTitle(name), generation: ggufGeneration(gguf, path), gguf };
}

export async function resolveModel(model: string, name: string = basename(resolve(model))): Promise<ModelFolder> {
  const path = resolve(model);
  if (isGguf(path) && (await stat(path).catch(() => null))?.isFile()) return resolveGguf(path, name);
  const files = new Set(await listFolder(path));
  if (!files.has('config.json')) throw new ModelError(`Model "${path}" has no config.json; give ${EXPECTED}.`);
  await checkWeights(path, files);
  if (!files.has('tokenizer.json') && !files.has('tokenizer.model')) {
    throw new ModelError(`Model "${path}" has no tokenizer: tokenizer.json or tokenizer.model must be there.`);
  }
  return { path, name, generation: await readGeneration(path, files) };
}
