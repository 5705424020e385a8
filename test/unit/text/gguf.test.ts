import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { loadAddon } from '../../../src/native/addon.ts';
import { ggufChatTemplate } from '../../../src/text/chat-template.ts';
import { type GgufMetadata, vocabularyOf } from '../../../src/text/gguf.ts';
import { parseSentencePiece } from '../../../src/text/sentencepiece.ts';
import { ggufTokenizer, loadTokenizer } from '../../../src/text/tokenizer.ts';
import { isAbsent, MODELS, ownPairs, SHARED } from './references.ts';

const KEY = 'tokenizer.ggml';

/** The metadata that llama.cpp's converter writes for a SentencePiece model. */
function ownMetadata(more: GgufMetadata = {}): GgufMetadata {
  const { pieces } = parseSentencePiece(readFileSync(`${MODELS}/own512.tokenizer.model`), 'own512');
  return {
    [`${KEY}.model`]: 'llama',
    [`${KEY}.tokens`]: pieces.map(({ text }) => text),
    [`${KEY}.scores`]: Float32Array.from(pieces, ({ score }) => score),
    [`${KEY}.token_type`]: Int32Array.from(pieces, ({ type }) => type),
    [`${KEY}.bos_token_id`]: 1,
    [`${KEY}.eos_token_id`]: 2,
    [`${KEY}.unknown_token_id`]: 0,
    ...more,
  };
}

/** A byte-level vocabulary: printable ASCII and a space, then what merges make, then control tokens. */
function byteLevel(pre: string | undefined, merges: readonly string[], more: GgufMetadata = {}): GgufMetadata {
  const bytes = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i));
  const made = merges.map((merge) => merge.replace(' ', ''));
  const tokens = [...bytes, 'Ġ', 'Ċ', ...made, 'whole', '<|begin|>', '<|end|>'];
  return {
    [`${KEY}.model`]: 'gpt2',
    ...(pre === undefined ? {} : { [`${KEY}.pre`]: pre }),
    [`${KEY}.tokens`]: tokens,
    [`${KEY}.token_type`]: Int32Array.from(tokens, (text) => (text.startsWith('<|') ? 3 : 1)),
    [`${KEY}.merges`]: [...merges],
    [`${KEY}.bos_token_id`]: tokens.indexOf('<|begin|>'),
    [`${KEY}.eos_token_id`]: tokens.indexOf('<|end|>'),
    ...more,
  };
}

async function cut(metadata: GgufMetadata, text: string, addSpecial = false): Promise<string> {
  const tokenizer = await ggufTokenizer(metadata, 'm.gguf');
  return [...(await tokenizer.encode(text, addSpecial))].map((id) => tokenizer.spelling(id)).join('|');
}

describe('SentencePiece vocabularies', () => {
  test("give SentencePiece's ids for every pair", async () => {
    const tokenizer = await ggufTokenizer(ownMetadata(), 'own.gguf');
    const pairs = ownPairs();
    expect(pairs.length).toBeGreaterThan(200);
    for (const { text, ids } of pairs) expect([...(await tokenizer.encode(text, false))]).toEqual(ids);
    expect(tokenizer).toMatchObject({ vocabSize: 512, bosId: 1, eosId: 2, stripsLeadingSpace: true });
  });

  test('are what the tokenizer.model gives, byte for byte', async () => {
    const [ours, theirs] = [await ggufTokenizer(ownMetadata(), 'own.gguf'), await loadTokenizer(`${MODELS}/mqa-f16`)];
    for (let id = 0; id < 512; id++) expect(ours.bytes(id)).toEqual(theirs.bytes(id));
    expect(ours.specialStrings).toEqual(theirs.specialStrings);
  });

  test('begin with BOS and a space unless the file says otherwise', async () => {
    expect(await cut(ownMetadata(), 'a', true)).toBe('<s>| a');
    expect(await cut(ownMetadata({ [`${KEY}.add_bos_token`]: false, [`${KEY}.add_eos_token`]: true }), 'a', true)).toBe(
      ' a|</s>',
    );
    expect(await cut(ownMetadata({ [`${KEY}.add_space_prefix`]: false }), 'a', true)).toBe('<s>|a');
  });

  const LLAMA = `${SHARED}/tokenizers/ggml-vocab-llama-spm.gguf`;
  test.skipIf(isAbsent(LLAMA))("give llama.cpp's ids for its own file of Llama 2's", async () => {
    const tokenizer = await ggufTokenizer(loadAddon().readGguf(LLAMA).metadata, LLAMA);
    const texts = readFileSync(`${LLAMA}.inp`, 'utf8').split('\n__ggml_vocab_test__\n');
    const lines = readFileSync(`${LLAMA}.out`, 'utf8').trimEnd().split('\n');
    expect(lines.length).toBeGreaterThan(40);
    for (const [i, line] of lines.entries())
      expect([...(await tokenizer.encode(texts[i] as string, false))]).toEqual(line.split(' ').filter(Boolean).map(Number));
  });
});

describe('byte-level vocabularies', () => {
  const DIGITS = ['1 2', '12 3', '123 4'];

  test('cut digits and words as the name of their pre-tokenizer says', async () => {
    expect(await cut(byteLevel('llama-bpe', DIGITS), '1234')).toBe('123|4');
    expect(await cut(byteLevel('qwen2', DIGITS), '1234')).toBe('1|2|3|4');
    expect(await cut(byteLevel('gpt-2', DIGITS), '1234')).toBe('1234');
    expect(await cut(byteLevel(undefined, DIGITS), '1234')).toBe('123|4');
    expect(await cut(byteLevel('gpt-2', ['Ġ =']), 'a =(')).toBe('a| =|(');
    expect(await cut(byteLevel('default', ['Ġ =']), 'a =(')).toBe('a| |=|(');
    expect(await cut(byteLevel('llama-bpe', ['Ġ a', 'a b']), 'ab ab')).toBe('ab| a|b');
  });

  test('take a word whole where merges are passed over', async () => {
    expect(await cut(byteLevel('llama-bpe', []), 'whole')).toBe('whole');
    expect(await cut(byteLevel('qwen2', []), 'whole')).toBe('w|h|o|l|e');
  });

  test('begin with BOS where that is the custom', async () => {
    expect(await cut(byteLevel('llama-bpe', []), 'a', true)).toBe('<|begin|>|a');
    expect(await cut(byteLevel('qwen2', []), 'a', true)).toBe('a');
    expect(await cut(byteLevel('qwen2', [], { [`${KEY}.add_bos_token`]: true }), 'a', true)).toBe('<|begin|>|a');
  });

  test('keep control tokens out of content', async () => {
    expect(await cut(byteLevel('qwen2', []), '<|end|>')).toBe('<|||e|n|d|||>');
  });
});

describe('mistakes', () => {
  const spm = ownMetadata();
  const tokens = spm[`${KEY}.tokens`] as string[];
  const rows: [string, GgufMetadata, string][] = [
    ['no vocabulary', {}, 'm.gguf has no vocabulary; SentencePiece\'s ("llama") and byte-level BPE ("gpt2") are read.'],
    ['another kind', { [`${KEY}.model`]: 'bert' }, 'a vocabulary of kind "bert"'],
    ['no tokens', { [`${KEY}.model`]: 'llama' }, 'has no "tokenizer.ggml.tokens"; it must be a list of strings'],
    ['too few scores', { ...spm, [`${KEY}.scores`]: new Float32Array(3) }, 'must be a list of 512 numbers, one a token'],
    ['scores of text', { ...spm, [`${KEY}.scores`]: tokens }, 'must be a list of 512 numbers, one a token'],
    [
      'a score that is no number',
      { ...spm, [`${KEY}.scores`]: new Float32Array(512).fill(Number.NaN) },
      'token 0 has NaN for a score',
    ],
    ['an id past the end', { ...spm, [`${KEY}.eos_token_id`]: 512 }, 'is 512; it must be the id of one of the 512 tokens'],
    ['a flag that is none', { ...spm, [`${KEY}.add_bos_token`]: 1 }, 'must be true or false, not 1'],
    [
      'spellings alike',
      { ...spm, [`${KEY}.tokens`]: tokens.with(300, tokens[299] as string) },
      'spells pieces 299 and 300 alike',
    ],
    ['a missing byte', { ...spm, [`${KEY}.tokens`]: tokens.with(tokens.indexOf('<0x41>'), '<0x-1>') }, 'has no piece "<0x41>"'],
    ['spellings alike of bytes', byteLevel('qwen2', ['a b', 'a b']), 'alike; spellings must differ'],
    ['half a merge', byteLevel('qwen2', ['ab']), 'has the merge "ab"; merges are two pieces with a space between them'],
    [
      'an unknown way to cut',
      byteLevel('tekken', []),
      'cuts text as "tekken" does ("tokenizer.ggml.pre"); known are llama-bpe, llama3, llama-v3, qwen2, gpt-2, default',
    ],
  ];
  test.each(rows)('%s', (_, metadata, sentence) => {
    expect(() => vocabularyOf(metadata, 'm.gguf')).toThrow(sentence);
  });
});

describe('chat templates', () => {
  const own = { 'tokenizer.chat_template': '{{ bos_token }}{{ messages[0].content }}{{ eos_token }}' };

  test("are the file's own, with its tokens", async () => {
    const template = await ggufChatTemplate(ownMetadata(own), 'm.gguf', null);
    expect(template?.source).toBe('m.gguf');
    expect(template?.render({ messages: [{ role: 'user', content: 'hi' }], addGenerationPrompt: true })).toBe('<s>hi</s>');
  });

  test('are chosen over it, and missing without both', async () => {
    expect((await ggufChatTemplate(ownMetadata(own), 'm.gguf', 'chatml'))?.source).toBe('chatml');
    expect(await ggufChatTemplate(ownMetadata(), 'm.gguf', null)).toBeNull();
  });
});
