// A model folder becomes one GGUF file: the vocabulary is described here, the tensors are written natively.
import { resolve } from 'node:path';
import type { ConvertType, GgufWriter, Progress } from '../native/addon.ts';
import { isGguf } from './gguf.ts';
import { type GgufFieldValue, ggufFields } from './gguf-fields.ts';
import { ModelError, readObject } from './read.ts';
import { resolveModel } from './resolve.ts';

export interface ConvertRequest {
  /** A folder of a Hugging Face model. */
  model: string;
  /** The file to write; it must not be there. */
  out: string;
  type: ConvertType;
}

/** Metadata of a folder's tokenizer and template, for `size` embeddings (text/gguf-vocabulary.ts). */
export type DescribeVocabulary = (folder: string, size: number, eosIds: readonly number[]) => Promise<object>;

/** Resolves to the size of the file. */
export async function convert(
  { model, out, type }: ConvertRequest,
  describe: DescribeVocabulary,
  addon: GgufWriter,
  onProgress: (progress: Progress) => void,
): Promise<number> {
  if (!isGguf(out)) throw new ModelError(`"${out}" must be the name of a .gguf file to write.`);
  const { path, name, gguf, generation } = await resolveModel(model);
  if (gguf) throw new ModelError(`"${model}" is a GGUF file; give the folder of a Hugging Face model.`);
  const { vocab_size: size } = await readObject(`${path}/config.json`);
  if (!Number.isInteger(size)) throw new ModelError(`${path}/config.json must have a whole number as "vocab_size".`);
  const vocabulary = await describe(path, size as number, generation.eosIds);
  const metadata = { 'general.name': name, ...vocabulary } as Record<string, GgufFieldValue>;
  const fields = ggufFields(metadata);
  return addon.convert({ folder: path, out: resolve(out), type, fields, numFields: Object.keys(metadata).length }, onProgress);
}
