import { readFileSync } from 'node:fs';
import { Tokenizer as Rust } from 'tokenizers';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadTokenizer } from '../../../src/text/tokenizer.ts';
import type { Tokenizer } from '../../../src/text/types.ts';
import { folderWith, isAbsent, LLAMA_2, MODELS, ownPairs, type Pair, SHARED, STORIES } from './references.ts';
import { random, randomText } from './unicode.ts';

/** All bytes of the ids, as text, less the space that the tokenizer says detokenising drops. */
function decode(tokenizer: Tokenizer, ids: Iterable<number>): string {
  const text = Buffer.concat([...ids].map((id) => tokenizer.bytes(id))).toString('utf8');
  return tokenizer.stripsLeadingSpace ? text.replace(/^ /, '') : text;
}

async function mismatches(
  tokenizer: Tokenizer,
  pairs: readonly Pair[],
): Promise<{ text: string; have: number[]; want: number[] }[]> {
  const have = await Promise.all(pairs.map(async ({ text }) => [...(await tokenizer.encode(text, false))]));
  return pairs.flatMap(({ text, ids }, i) => {
    const ours = have[i] as number[];
    return ours.join() === ids.join() ? [] : [{ text, have: ours, want: ids }];
  });
}

describe('tokenizer.model', () => {
  test('gives what SentencePiece gives for every pair', async () => {
    const pairs = ownPairs();
    expect(pairs.length).toBeGreaterThan(200);
    expect(await mismatches(await loadTokenizer(`${MODELS}/mqa-f16`), pairs)).toEqual([]);
    const alone = folderWith({ 'tokenizer.model': { from: `${MODELS}/own512.tokenizer.model` } });
    expect(await mismatches(await loadTokenizer(alone), pairs)).toEqual([]);
  });

  test.skipIf(isAbsent(LLAMA_2))("gives llama.cpp's ids for Llama 2", async () => {
    const name = `${SHARED}/tokenizers/ggml-vocab-llama-spm.gguf`;
    const texts = readFileSync(`${name}.inp`, 'utf8').split('\n__ggml_vocab_test__\n');
    const lines = readFileSync(`${name}.out`, 'utf8').trimEnd().split('\n');
    const pairs = lines.map((line, i) => ({ text: texts[i] as string, ids: line.split(' ').filter(Boolean).map(Number) }));
    expect(pairs.length).toBeGreaterThan(40);
    const tokenizer = await loadTokenizer(folderWith({ 'tokenizer.model': { from: LLAMA_2 } }));
    expect(tokenizer).toMatchObject({ vocabSize: 32000, bosId: 1, eosId: 2, stripsLeadingSpace: true });
    expect(await mismatches(tokenizer, pairs)).toEqual([]);
    // Piece 30143 of Llama 2 is a byte-order mark, which readers of UTF-8 like to drop.
    expect(tokenizer.spelling(30143)).toBe('\uFEFF');
  });

  test.skipIf(isAbsent(STORIES))('gives the ids and the text of stories260K', async () => {
    const tokenizer = await loadTokenizer(STORIES);
    const { cases } = JSON.parse(readFileSync(`${STORIES}/reference_greedy.json`, 'utf8'));
    expect(cases.length).toBe(10);
    for (const { prompt, prompt_ids, generated_ids, full_text } of cases) {
      expect([...(await tokenizer.encode(prompt, true))]).toEqual(prompt_ids);
      expect(decode(tokenizer, [...prompt_ids, ...generated_ids])).toBe(full_text);
    }
  });

  test('puts the dummy prefix where the config says', async () => {
    const model = { from: `${MODELS}/own512.tokenizer.model` };
    const spell = async (config: object, markup: string) => {
      const tokenizer = await loadTokenizer(
        folderWith({ 'tokenizer.model': model, 'tokenizer_config.json': JSON.stringify(config) }),
      );
      return [...(await tokenizer.encodeMarkup(markup))].map((id) => tokenizer.spelling(id)).join('|');
    };
    expect(await spell({ legacy: true }, '<s>a b</s>a')).toBe('<s>| a| b|</s>| a');
    expect(await spell({ legacy: false }, '<s>a b</s>a')).toBe('<s>|a| b|</s>|a');
    expect(await spell({ legacy: false }, 'a b</s>a')).toBe(' a| b|</s>|a');
    expect(await spell({ add_prefix_space: false }, 'a b')).toBe('a| b');
  });

  test('adds BOS and EOS as the config says', async () => {
    const model = { from: `${MODELS}/own512.tokenizer.model` };
    const ids = async (config: object) => {
      const tokenizer = await loadTokenizer(
        folderWith({ 'tokenizer.model': model, 'tokenizer_config.json': JSON.stringify(config) }),
      );
      return [...(await tokenizer.encode('a', true))];
    };
    expect(await ids({})).toEqual([1, 263]);
    expect(await ids({ add_bos_token: false })).toEqual([263]);
    expect(await ids({ add_eos_token: true, eos_token: { content: '</s>', lstrip: false } })).toEqual([1, 263, 2]);
  });

  test('knows the tokens that a fine-tune added beside the model', async () => {
    const folder = folderWith({
      'tokenizer.model': { from: `${MODELS}/own512.tokenizer.model` },
      'added_tokens.json': '{"<|im_start|>": 512, "<|im_end|>": 513, "<tool>": 520}',
      'tokenizer_config.json': JSON.stringify({
        eos_token: '<|im_end|>',
        added_tokens_decoder: {
          512: { content: '<|im_start|>', special: true },
          513: { content: '<|im_end|>', special: true },
        },
      }),
    });
    const tokenizer = await loadTokenizer(folder);
    expect(tokenizer).toMatchObject({ vocabSize: 521, eosId: 513 });
    expect([...(await tokenizer.encodeMarkup('<|im_start|>a<tool><|im_end|>'))]).toEqual([512, 263, 520, 513]);
    expect(tokenizer.isSpecial(520)).toBe(false);
    expect(decode(tokenizer, [512, 520, 513])).toBe('<tool>');
  });
});

describe('tokenizer.json', () => {
  let tokenizer: Tokenizer;
  let reference: Rust;
  beforeAll(async () => {
    tokenizer = await loadTokenizer(`${MODELS}/mha-rope10k`);
    reference = Rust.fromFile(`${MODELS}/mha-rope10k/tokenizer.json`);
  });

  test('gives what SentencePiece gives, but for a leading space', async () => {
    // The file's Metaspace step adds the dummy prefix only where the text does not already begin with one, so that " a" is "a".
    const wrong = await mismatches(tokenizer, ownPairs());
    expect(wrong.map(({ text }) => text)).toEqual([' ', '  ', '   ', ' Hello', ' Hello world', '  leading', '▁▁']);
    for (const { text, have } of wrong)
      expect((await reference.encode(text, null, { addSpecialTokens: false })).getIds()).toEqual(have);
  });

  test('gives what the tokenizers library gives for text and for markup', async () => {
    const next = random(1);
    for (let i = 0; i < 500; i++) {
      const text = randomText(next, { markup: i % 2 === 0 });
      const want = (await reference.encode(text, null, { addSpecialTokens: false })).getIds();
      expect([...(await tokenizer.encodeMarkup(text))], JSON.stringify(text)).toEqual(want);
    }
    expect([...(await tokenizer.encode('a', true))]).toEqual((await reference.encode('a')).getIds());
  });

  test('keeps ids as the file numbers them and adds what the post-processor adds', async () => {
    const special = (id: number, content: string) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    });
    const json = JSON.parse(readFileSync(`${MODELS}/mha-rope10k/tokenizer.json`, 'utf8'));
    json.added_tokens.push(special(900, '<|eot_id|>'), special(700, '<|start|>'));
    const folder = folderWith({
      'tokenizer.json': JSON.stringify(json),
      'tokenizer_config.json': '{"eos_token": "<|eot_id|>"}',
    });
    const loaded = await loadTokenizer(folder);
    expect(loaded).toMatchObject({ vocabSize: 901, eosId: 900, bosId: null });
    expect([...(await loaded.encodeMarkup('<|start|><s><|eot_id|>'))]).toEqual([700, 1, 900]);
    expect([...(await loaded.encode('', true))]).toEqual([1]);
    expect(loaded.spelling(700)).toBe('<|start|>');
    expect(loaded.bytes(701)).toHaveLength(0);
  });
});

describe.each(['mqa-f16', 'mha-rope10k'])('text as data (%s)', (model) => {
  let tokenizer: Tokenizer;
  beforeAll(async () => {
    tokenizer = await loadTokenizer(`${MODELS}/${model}`);
  });

  test('bytes of the ids are the text, and no id is special', async () => {
    const next = random(2);
    for (let i = 0; i < 500; i++) {
      const text = randomText(next, { markup: true });
      const ids = await tokenizer.encode(text, false);
      // The Metaspace step of tokenizer.json takes one leading space for the dummy prefix.
      const kept = model === 'mha-rope10k' ? text.replace(/^[ ▁]/, '') : text;
      expect(decode(tokenizer, ids), JSON.stringify(text)).toBe(kept.replaceAll('▁', ' '));
      expect([...ids].some((id) => tokenizer.isSpecial(id))).toBe(false);
    }
  });

  test('control tokens have a spelling and no bytes; byte pieces are their character', () => {
    expect([0, 1, 2].map((id) => tokenizer.spelling(id))).toEqual(['<unk>', '<s>', '</s>']);
    expect([0, 1, 2].map((id) => tokenizer.bytes(id).length)).toEqual([0, 0, 0]);
    expect([...tokenizer.specialStrings].sort()).toEqual(['</s>', '<s>', '<unk>']);
    expect(tokenizer.spelling(3 + 0x0a)).toBe('\n');
    expect([...tokenizer.bytes(3 + 0xe2)]).toEqual([0xe2]);
    expect(tokenizer.spelling(3 + 0xe2)).toBe('\uFFFD');
    expect(tokenizer.bytes(512)).toHaveLength(0);
  });
});

describe('byte-level BPE', () => {
  const special = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  /** 256 bytes of GPT-2's alphabet, one merge into " a" and one that spells a control token. */
  function byteLevel(): string {
    const printable = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
    let next = 256;
    const alphabet = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
    const pieces = [...alphabet, 'Ġa', '<s', '<s>'];
    const stage = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
    return JSON.stringify({
      version: '1.0',
      truncation: { max_length: 2, stride: 0, strategy: 'LongestFirst', direction: 'Right' },
      padding: null,
      added_tokens: [{ id: 258, content: '<s>', ...special }],
      normalizer: null,
      pre_tokenizer: stage,
      post_processor: stage,
      decoder: stage,
      model: {
        type: 'BPE',
        vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
        merges: ['Ġ a', '< s', '<s >'],
        ignore_merges: true,
      },
    });
  }

  test('bytes come from the alphabet, and content never merges into a control token', async () => {
    const tokenizer = await loadTokenizer(folderWith({ 'tokenizer.json': byteLevel() }));
    expect(tokenizer).toMatchObject({ vocabSize: 259, stripsLeadingSpace: false, specialStrings: ['<s>'] });
    expect([...(await tokenizer.encode('<s>', true))]).toEqual([257, '>'.charCodeAt(0)]);
    expect([...(await tokenizer.encodeMarkup('<s> a'))]).toEqual([258, 256]);
    const next = random(3);
    for (let i = 0; i < 200; i++) {
      const text = randomText(next, { markup: true });
      const ids = await tokenizer.encode(text, false);
      expect(decode(tokenizer, ids), JSON.stringify(text)).toBe(text);
    }
  });
});

describe('folders that cannot be read', () => {
  const json = JSON.parse(readFileSync(`${MODELS}/mha-rope10k/tokenizer.json`, 'utf8'));
  const files = (change: object, config: object = {}) => ({
    'tokenizer.json': JSON.stringify({ ...json, ...change }),
    'tokenizer_config.json': JSON.stringify(config),
  });
  const cases: [string, Record<string, string>, RegExp][] = [
    ['nothing there', {}, /has neither tokenizer\.json nor tokenizer\.model; one of them is needed\./],
    ['not JSON', { 'tokenizer.json': '{' }, /tokenizer\.json is not valid JSON/],
    ['no model', { 'tokenizer.json': '[]' }, /has no "model"/],
    ['another model', files({ model: { ...json.model, type: 'WordPiece' } }), /a model of type "WordPiece"; only BPE/],
    ['an absurd id', files({ model: { ...json.model, vocab: { a: 1e12 } } }), /gives "a" the id 1000000000000; ids are/],
    [
      'an unknown decoder',
      files({ decoder: { type: 'CTC' }, model: { ...json.model, byte_fallback: false } }),
      /unknown kind \(CTC\)/,
    ],
    [
      'a merge of nothing',
      files({ model: { ...json.model, merges: [['qqq', 'zzz']] } }),
      /tokenizer\.json cannot be loaded \(.+\)\./,
    ],
    ['an EOS that is not there', files({}, { eos_token: '<nope>' }), /has no token "<nope>", which .* names as "eos_token"/],
    ['a flag that is none', files({}, { add_bos_token: 'yes' }), /"add_bos_token" must be true or false, not "yes"/],
  ];
  test.each(cases)('%s', async (_, contents, sentence) => {
    const error = await loadTokenizer(folderWith(contents)).catch((thrown) => thrown);
    expect(error).toMatchObject({ name: 'TextError', message: expect.stringMatching(sentence) });
  });
});
