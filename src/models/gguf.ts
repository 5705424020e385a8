// A .gguf file as a model: its name, and which tokens end an answer. The vocabulary is read by text/gguf.ts, the tensors natively.
import type { GgufFile } from '../native/addon.ts';
import type { Generation } from './generation.ts';
import { ModelError } from './read.ts';

/** With the number of a split model's part (llama.cpp: "%s-%05d-of-%05d.gguf"). */
const SUFFIX = /(-\d{5}-of-\d{5})?\.gguf$/i;
/** gguf's TokenType of control tokens. */
const CONTROL = 3;
// Control tokens that end a turn whatever the file calls its EOS (llama.cpp: special_eog_ids of llama-vocab.cpp).
const ENDS = ['<|eot_id|>', '<|im_end|>', '<|end|>', '<|eom_id|>', '<|endoftext|>', '<|end_of_text|>', '<end_of_turn>'];

export const isGguf = (path: string): boolean => SUFFIX.test(path);

export const ggufTitle = (name: string): string => name.replace(SUFFIX, '');

export function ggufGeneration({ metadata }: GgufFile, path: string): Generation {
  const tokens = metadata['tokenizer.ggml.tokens'];
  const types = metadata['tokenizer.ggml.token_type'];
  const texts = Array.isArray(tokens) ? tokens : [];
  const ids = new Set<number>();
  for (const key of ['eos', 'eot', 'eom'].map((end) => `tokenizer.ggml.${end}_token_id`)) {
    const id = metadata[key];
    // 2^32 - 1 is -1, which some writers put for "none".
    if (id === undefined || id === -1 || id === 0xffffffff) continue;
    if (typeof id !== 'number' || texts[id] === undefined)
      throw new ModelError(`${path}: "${key}" is ${String(id)}; it must be the id of one of the ${texts.length} tokens.`);
    ids.add(id);
  }
  for (const spelling of ENDS) {
    const id = texts.indexOf(spelling);
    if (id >= 0 && ArrayBuffer.isView(types) && (types as Int32Array)[id] === CONTROL) ids.add(id);
  }
  return { eosIds: [...ids], sampling: {} };
}
