import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { byteAlphabet, byteTokenizer } from '../../../src/models/byte-tokenizer.ts';
import { parameterCount, SHAPES } from '../../../src/models/shapes.ts';
import { findShape, type SynthRequest, synth } from '../../../src/models/synth.ts';
import type { Addon, SynthOptions } from '../../../src/native/addon.ts';
import { temporary } from '../../temporary.ts';

const request = (over: Partial<SynthRequest> = {}): SynthRequest => ({
  shape: 'tiny',
  out: join(temporary(), 'out'),
  maxPosition: 0,
  seed: 3,
  dtype: 'bfloat16',
  ...over,
});

/** Stands in for the native writer: remembers what it was asked. */
function recorder(fails = false): { addon: Addon; asked: SynthOptions[] } {
  const asked: SynthOptions[] = [];
  const addon: Addon = {
    createEngine: () => Promise.reject(new Error('not used here')),
    async synth(options) {
      asked.push(options);
      if (fails) throw new Error('the disk broke');
      return 12;
    },
  };
  return { addon, asked };
}

describe('shapes', () => {
  // Parameter counts of the checkpoints themselves (the Hub's "model size").
  test.each([
    ['tinyllama-1.1b', 1_100_048_384],
    ['llama-2-7b', 6_738_415_616],
    ['llama-2-13b', 13_015_864_320],
    ['llama-2-70b', 68_976_648_192],
    ['llama-3-8b', 8_030_261_248],
    ['mistral-7b', 7_241_732_096],
  ])('%s has the parameters of the checkpoint', async (name, count) => {
    expect(parameterCount(await findShape(name))).toBe(count);
  });

  test('an unknown name lists the known ones', async () => {
    await expect(findShape('llama-7b')).rejects.toThrow(
      /^Unknown shape "llama-7b"; known are tiny, tinyllama-1\.1b, .*mistral-7b, or give the path/,
    );
  });

  test('a config of one’s own', async () => {
    const file = join(temporary(), 'config.json');
    const { num_key_value_heads: _, ...own } = { ...SHAPES.tiny, eos_token_id: [7, 8] };
    writeFileSync(file, JSON.stringify(own));
    expect(await findShape(file)).toMatchObject({ num_key_value_heads: 4, eos_token_id: 7 });
    writeFileSync(file, JSON.stringify({ ...own, hidden_size: 0 }));
    await expect(findShape(file)).rejects.toThrow(/must have a whole number of at least 1 as "hidden_size", not 0\.$/);
  });
});

describe('synth', () => {
  test('writes a tokenizer beside what the native writer writes', async () => {
    const { addon, asked } = recorder();
    const asking = request({ maxPosition: 77, dtype: 'float16' });
    expect(await synth(asking, addon, () => {})).toBe(12);
    expect(readdirSync(asking.out).sort()).toEqual(['generation_config.json', 'tokenizer.json', 'tokenizer_config.json']);
    expect(asked[0]).toMatchObject({ out: asking.out, seed: 3 });
    expect(JSON.parse(asked[0]?.config ?? '')).toMatchObject({
      hidden_size: 64,
      max_position_embeddings: 77,
      torch_dtype: 'float16',
    });
  });

  test('refuses a folder with files, and too small a disk', async () => {
    const { addon, asked } = recorder();
    const used = request();
    await synth(used, addon, () => {});
    await expect(synth(used, addon, () => {})).rejects.toThrow(/is not empty; give a new folder/);
    const file = join(temporary(), 'config.json');
    writeFileSync(file, JSON.stringify({ ...SHAPES.tiny, num_hidden_layers: 1e12 }));
    await expect(synth(request({ shape: file }), addon, () => {})).rejects.toThrow(
      /The weights need [\d.]+ GB, but the disk of .* has [\d.]+ GB free/,
    );
    expect(asked).toHaveLength(1);
  });

  test('leaves nothing behind when writing fails', async () => {
    const asking = request();
    await expect(synth(asking, recorder(true).addon, () => {})).rejects.toThrow('the disk broke');
    expect(() => readdirSync(asking.out)).toThrow('ENOENT');
  });
});

describe('byte tokenizer', () => {
  test('the alphabet is GPT-2’s', () => {
    const alphabet = byteAlphabet();
    expect(new Set(alphabet).size).toBe(256);
    expect([alphabet[32], alphabet[10], alphabet[65], alphabet[173], alphabet[255]]).toEqual(['Ġ', 'Ċ', 'A', 'Ń', 'ÿ']);
  });

  test.each(Object.entries(SHAPES))('%s: every id has one piece, specials where the config says', (_name, shape) => {
    const { vocab_size: size, bos_token_id: bosId, eos_token_id: eosId } = shape;
    const { vocab } = JSON.parse(byteTokenizer({ size, bosId, eosId }, 512).tokenizer).model as {
      vocab: Record<string, number>;
    };
    expect(new Set(Object.values(vocab)).size).toBe(size);
    expect([vocab['<s>'], vocab['</s>']]).toEqual([bosId, eosId]);
    expect(byteAlphabet().every((piece) => (vocab[piece] ?? size) < size)).toBe(true);
  });

  test('a vocabulary that cannot hold the bytes is refused', () => {
    expect(() => byteTokenizer({ size: 257, bosId: 1, eosId: 2 }, 8)).toThrow('"vocab_size" must be at least 258');
    expect(() => byteTokenizer({ size: 300, bosId: 1, eosId: 300 }, 8)).toThrow('must be two ids below "vocab_size" 300');
  });
});
