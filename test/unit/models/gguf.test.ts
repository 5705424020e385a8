import { describe, expect, test } from 'vitest';
import { ggufGeneration, ggufTitle, isGguf } from '../../../src/models/gguf.ts';
import type { GgufValue } from '../../../src/native/addon.ts';

const KEY = 'tokenizer.ggml';
const file = (metadata: Record<string, GgufValue>) => ({
  version: 3,
  tensors: [],
  metadata: {
    [`${KEY}.tokens`]: ['a', '</s>', '<|im_end|>', '<|eot_id|>'],
    [`${KEY}.token_type`]: Int32Array.of(1, 3, 3, 1),
    ...metadata,
  },
});

describe('tokens that end an answer', () => {
  test('are those that the file names, and control tokens that always do', () => {
    expect(ggufGeneration(file({ [`${KEY}.eos_token_id`]: 1 }), 'm.gguf')).toEqual({ eosIds: [1, 2], sampling: {} });
    expect(ggufGeneration(file({ [`${KEY}.eot_token_id`]: 3, [`${KEY}.eom_token_id`]: 1 }), 'm.gguf').eosIds).toEqual([
      3, 1, 2,
    ]);
  });

  test('may be none', () => {
    expect(ggufGeneration({ version: 3, tensors: [], metadata: {} }, 'm.gguf').eosIds).toEqual([]);
    expect(ggufGeneration(file({ [`${KEY}.eos_token_id`]: 0xffffffff }), 'm.gguf').eosIds).toEqual([2]);
  });

  test('must be tokens', () => {
    expect(() => ggufGeneration(file({ [`${KEY}.eos_token_id`]: 4 }), 'm.gguf')).toThrow(
      'm.gguf: "tokenizer.ggml.eos_token_id" is 4; it must be the id of one of the 4 tokens.',
    );
  });
});

test('a file is known by its ending, and called without it', () => {
  expect(['m.gguf', 'M.GGUF', 'm.gguf.part', 'gguf'].map(isGguf)).toEqual([true, true, false, false]);
  expect(['m.Q4_K_M.gguf', 'm-00001-of-00003.gguf', 'org/repo:Q8_0'].map(ggufTitle)).toEqual([
    'm.Q4_K_M',
    'm',
    'org/repo:Q8_0',
  ]);
});
