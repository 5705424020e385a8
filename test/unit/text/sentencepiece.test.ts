import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseSentencePiece } from '../../../src/text/sentencepiece.ts';
import { loadTokenizer } from '../../../src/text/tokenizer.ts';
import { folderWith, MODELS } from './references.ts';
import { random } from './unicode.ts';

const own512 = readFileSync(`${MODELS}/own512.tokenizer.model`);

/** A protobuf writer as small as the reader. */
const varint = (value: number): number[] =>
  value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(Math.floor(value / 0x80))];
const number = (field: number, value: number) => [...varint(field * 8), ...varint(value)];
const bytes = (field: number, value: ArrayLike<number>) => [
  ...varint(field * 8 + 2),
  ...varint(value.length),
  ...Array.from(value),
];
const float = (field: number, value: number) => [...varint(field * 8 + 5), ...new Uint8Array(Float32Array.of(value).buffer)];
const piece = (text: string, score: number, type = 1) =>
  bytes(1, [...bytes(1, Buffer.from(text)), ...float(2, score), ...number(3, type)]);

const BPE = number(3, 2);
const KEEP_SPACES = number(4, 0);
const SPECIALS = [...piece('<unk>', 0, 2), ...piece('<s>', 0, 3), ...piece('</s>', 0, 3)];
const model = (pieces: number[], trainer: number[] = BPE, normalizer: number[] = []) =>
  Uint8Array.from([...SPECIALS, ...pieces, ...bytes(2, trainer), ...bytes(3, normalizer)]);

const sentenceOf = (file: Uint8Array): string => {
  try {
    parseSentencePiece(file, 'tokenizer.model');
  } catch (error) {
    expect(error).toMatchObject({ name: 'TextError' });
    return (error as Error).message;
  }
  return '';
};

test('reads pieces, ids and normalisation', () => {
  const parsed = parseSentencePiece(own512, 'tokenizer.model');
  expect(parsed).toMatchObject({
    byteFallback: true,
    unkId: 0,
    bosId: 1,
    eosId: 2,
    addDummyPrefix: true,
    removeExtraWhitespaces: false,
  });
  expect(parsed.pieces).toHaveLength(512);
  expect(parsed.pieces[291]).toMatchObject({ text: '▁▁', type: 1 });
});

describe('small models', () => {
  const letters = [...piece('▁', -10), ...piece('a', -11), ...piece('b', -12), ...piece('ab', -1), ...piece('▁a', -2)];
  const spell = async (file: Uint8Array, text: string) => {
    const tokenizer = await loadTokenizer(folderWith({ 'tokenizer.model': file }));
    return [...(await tokenizer.encode(text, false))].map((id) => tokenizer.spelling(id)).join('|');
  };

  test('the better piece is joined first', async () => {
    expect(await spell(model(letters), 'ab')).toBe(' |ab');
    expect(await spell(model([...letters, ...piece('▁ab', -3)]), 'ab')).toBe(' ab');
  });

  test('extra whitespace goes unless the model keeps it', async () => {
    expect(await spell(model(letters), '  ab   a ')).toBe(' |ab| a');
    expect(await spell(model(letters), '   ')).toBe('');
    // SentencePiece strips what ends in its own sign for a space, even where the text had that sign.
    expect(await spell(model(letters), 'a ▁▁')).toBe(' a');
    expect(await spell(model(letters, BPE, KEEP_SPACES), ' ab')).toBe(' | |ab');
  });

  test('without a dummy prefix text begins as it is', async () => {
    expect(await spell(model(letters, BPE, number(3, 0)), 'ab a')).toBe('ab| a');
  });

  test('unknown characters without byte fallback are one unknown token', async () => {
    expect(await spell(model(letters), 'aéüb')).toBe(' a|<unk>|b');
  });

  test('a user-defined piece is never split or joined, and gets no prefix of its own', async () => {
    const tools = piece('<tool>', 0, 4);
    expect(await spell(model([...letters, ...tools], BPE, KEEP_SPACES), 'a<tool>ab')).toBe(' a|<tool>|ab');
    expect(await spell(model([...letters, ...tools], BPE, KEEP_SPACES), '<tool>a')).toBe(' |<tool>|a');
  });

  test('control and unused pieces are never joined', async () => {
    const pieces = [...letters, ...piece('<', -20), ...piece('s>', -21), ...piece('s', -22), ...piece('>', -23)];
    expect(await spell(model(pieces), '<s>')).toBe(' |<|s>');
    expect(await spell(model([...letters, ...piece('ba', 0, 5)]), 'ba')).toBe(' |b|a');
  });
});

describe('files that nobody vouches for', () => {
  test('cut at any byte: one sentence', () => {
    const sentences = new Set<string>();
    for (let length = 0; length < own512.length; length++) {
      const sentence = sentenceOf(own512.subarray(0, length));
      expect(sentence, `at ${length}`).toMatch(/^tokenizer\.model.*[^.]\.$/);
      sentences.add(sentence.replace(/\d+/g, 'N'));
    }
    expect([...sentences].join('\n')).toMatch(/cut short/);
  });

  test('any byte changed: a sentence or a model, never anything else', () => {
    const next = random(4);
    for (let round = 0; round < 3000; round++) {
      const file = Uint8Array.from(own512);
      for (let i = 0; i <= round % 3; i++) file[Math.floor(next() * file.length)] = Math.floor(next() * 256);
      const sentence = sentenceOf(file);
      if (sentence !== '') expect(sentence).toMatch(/^tokenizer\.model.*\.$/s);
    }
  });

  const cases: [string, Uint8Array, RegExp][] = [
    ['empty', new Uint8Array(0), /has no trainer settings/],
    ['text', Buffer.from('version https://git-lfs.github.com/spec/v1\n'), /./],
    ['no pieces', Uint8Array.from([...bytes(2, BPE), ...bytes(3, [])]), /has no pieces/],
    ['no trainer', Uint8Array.from([...SPECIALS, ...bytes(3, [])]), /has no trainer settings/],
    ['no normaliser', Uint8Array.from([...SPECIALS, ...bytes(2, BPE)]), /has no normaliser settings/],
    ['a length past the end', Uint8Array.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]), /cut short/],
    ['an endless number', new Uint8Array(20).fill(0xff), /longer than 10 bytes/],
    ['a group', Uint8Array.of(0x0b), /wire type 3/],
    ['a number for a piece', Uint8Array.from(number(1, 5)), /field 1 is a number where a message or text belongs/],
    ['unigram', model(piece('a', 0), number(3, 1)), /unigram model; only BPE/],
    ['a spelling twice', model([...piece('a', 0), ...piece('a', 0)]), /spells pieces 3 and 4 alike, "a"/],
    ['an empty piece', model(piece('', 0)), /piece 3 is empty/],
    ['an endless piece', model(piece('a'.repeat(300), 0)), /piece 3 is 300 bytes long; pieces have at most 256/],
    ['a broken spelling', model(bytes(1, bytes(1, [0xff]))), /piece 3 is not valid UTF-8/],
    ['NaN for a score', model(piece('a', Number.NaN)), /piece 3 has NaN for a score/],
    ['byte fallback without bytes', model(piece('a', 0), [...BPE, ...number(35, 1)]), /no piece "<0x00>"; all 256/],
    ['BOS past the end', model(piece('a', 0), [...BPE, ...number(41, 99)]), /names piece 99 as BOS, but has only 4 pieces/],
    ['whitespace behind', model(piece('a', 0), [...BPE, ...varint(24 * 8), 1]), /treats whitespace as a suffix/],
    ['whitespace as it is', model(piece('a', 0), BPE, number(5, 0)), /does not escape whitespace/],
  ];
  test.each(cases)('%s', (_, file, sentence) => expect(sentenceOf(file)).toMatch(sentence));
});
