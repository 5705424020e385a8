import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { DEMO_MODEL } from '../../../src/models/resolve.ts';
import { ggufVocabulary } from '../../../src/text/gguf-vocabulary.ts';
import { ggufTokenizer } from '../../../src/text/tokenizer.ts';
import { MODELS, ownPairs } from './references.ts';

const KEY = 'tokenizer.ggml';
const folder = mkdtempSync(join(tmpdir(), 'gattling-'));
afterAll(() => rmSync(folder, { recursive: true }));

const LLAMA_3 =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** The alphabet of byte-level BPE: a character for each byte. */
function alphabet(): string[] {
  const printable = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
}

/** A byte-level tokenizer.json that cuts by `pattern`. */
function byteLevelFolder(pattern: string, more: object = {}, normalizer: object | null = null): string {
  const merges = ['l l', 'h e', 'll o', 'he llo', '1 2', '12 3', '3 4'];
  const pieces = [...alphabet(), ...merges.map((merge) => merge.replace(' ', ''))];
  const vocab = Object.fromEntries(pieces.map((piece, id) => [piece, id]));
  const added = ['<|begin_of_text|>', '<|eot_id|>'].map((content, i) => ({
    ...{ id: pieces.length + i, content, special: true },
    ...{ single_word: false, lstrip: false, rstrip: false, normalized: false },
  }));
  const split = { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false };
  const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
  const json = {
    version: '1.0',
    added_tokens: added,
    normalizer,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [split, bytes] },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { type: 'BPE', vocab, merges, ignore_merges: true, ...more },
  };
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(json));
  writeFileSync(
    join(folder, 'tokenizer_config.json'),
    JSON.stringify({ bos_token: '<|begin_of_text|>', eos_token: '<|eot_id|>', add_bos_token: true, chat_template: '{{ 1 }}' }),
  );
  return folder;
}

describe('SentencePiece', () => {
  test('keeps its pieces and scores, and cuts every pair as before', async () => {
    const metadata = await ggufVocabulary(`${MODELS}/mqa-f16`, 520, [2]);
    expect(metadata).toMatchObject({
      [`${KEY}.model`]: 'llama',
      [`${KEY}.bos_token_id`]: 1,
      [`${KEY}.eos_token_id`]: 2,
      [`${KEY}.unknown_token_id`]: 0,
      [`${KEY}.add_bos_token`]: true,
      [`${KEY}.add_space_prefix`]: true,
    });
    const tokens = metadata[`${KEY}.tokens`] as string[];
    expect(tokens.slice(510)).toEqual([tokens[510], tokens[511], ...Array.from({ length: 8 }, (_, i) => `[PAD${512 + i}]`)]);
    expect([...(metadata[`${KEY}.token_type`] as Int32Array)].slice(0, 5)).toEqual([2, 3, 3, 6, 6]);
    const tokenizer = await ggufTokenizer(metadata, 'm.gguf');
    for (const { text, ids } of ownPairs()) expect([...(await tokenizer.encode(text, false))]).toEqual(ids);
  });

  test('is read from tokenizer.model where both files are there', async () => {
    const [both, alone] = await Promise.all(
      ['gqa-llama3rope-tied', 'mqa-f16'].map((name) => ggufVocabulary(`${MODELS}/${name}`, 512, [2])),
    );
    expect(both?.[`${KEY}.scores`]).toEqual(alone?.[`${KEY}.scores`]);
  });

  test('takes the order of merges for scores where there is no more', async () => {
    writeFileSync(join(folder, 'tokenizer.json'), readFileSync(`${MODELS}/mha-rope10k/tokenizer.json`));
    writeFileSync(join(folder, 'tokenizer_config.json'), readFileSync(`${MODELS}/mha-rope10k/tokenizer_config.json`));
    const tokenizer = await ggufTokenizer(await ggufVocabulary(folder, 512, [2]), 'm.gguf');
    for (const { text, ids } of ownPairs()) expect([...(await tokenizer.encode(text, false))]).toEqual(ids);
  });
});

describe('byte-level BPE', () => {
  test('is known by how it cuts text', async () => {
    const metadata = await ggufVocabulary(byteLevelFolder(LLAMA_3), 265, [264]);
    expect(metadata).toMatchObject({
      [`${KEY}.model`]: 'gpt2',
      [`${KEY}.pre`]: 'llama-bpe',
      [`${KEY}.bos_token_id`]: 263,
      [`${KEY}.eos_token_id`]: 264,
      [`${KEY}.add_bos_token`]: true,
      'tokenizer.chat_template': '{{ 1 }}',
    });
    expect((metadata[`${KEY}.merges`] as string[]).slice(0, 2)).toEqual(['l l', 'h e']);
    const tokenizer = await ggufTokenizer(metadata, 'm.gguf');
    expect([...(await tokenizer.encode('hello1234', true))]).toEqual([263, 259, 261, 52]);
  });

  test('names a second token that ends turns', async () => {
    expect((await ggufVocabulary(byteLevelFolder(LLAMA_3), 265, [264, 263]))[`${KEY}.eot_token_id`]).toBe(263);
  });

  test('is refused when GGUF has no name for it', async () => {
    await expect(ggufVocabulary(byteLevelFolder('\\p{N}'), 265, [])).rejects.toThrow(
      /cuts text in a way for which GGUF has no name; Llama 3's, Qwen2's and GPT-2's have one/,
    );
  });

  test('must not have more tokens than embeddings', async () => {
    await expect(ggufVocabulary(byteLevelFolder(LLAMA_3), 264, [])).rejects.toThrow(
      'has the token 264, but config.json says that there are 264.',
    );
  });
});

test('a tokenizer that would cut otherwise is refused with a text that shows it', async () => {
  await expect(ggufVocabulary(byteLevelFolder(LLAMA_3, {}, { type: 'Lowercase' }), 265, [])).rejects.toThrow(
    'tokenizer.json cuts text by rules that GGUF cannot say: "Hello world" would become other tokens. Serve the folder as it is.',
  );
});

test("the demo model's rules make no difference", async () => {
  expect((await ggufVocabulary(DEMO_MODEL, 2048, [2]))['tokenizer.ggml.model']).toBe('llama');
});
