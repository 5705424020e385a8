// Vocabularies that nobody vouches for: whatever the bytes are, a tokenizer or one sentence comes of them.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseSentencePiece } from '../../../src/text/sentencepiece.ts';
import { loadTokenizer } from '../../../src/text/tokenizer.ts';
import { TextError } from '../../../src/text/types.ts';
import { folderWith, MODELS } from './references.ts';

/** mulberry32: whole numbers below n. */
function randomOf(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * n);
  };
}

/** Loads, encodes and decodes; what goes wrong must be a TextError with something to say. */
async function survives(files: Record<string, string | Uint8Array>): Promise<boolean> {
  try {
    const tokenizer = await loadTokenizer(folderWith(files));
    const ids = await tokenizer.encode('Hello, wörld 123\n\u0000', true);
    for (const id of ids) tokenizer.bytes(id);
    return true;
  } catch (error) {
    if (!(error instanceof TextError)) throw error;
    expect(error.message).toMatch(/\w{4}.*[.)]$/s);
    return false;
  }
}

const model = readFileSync(`${MODELS}/own512.tokenizer.model`);
const json = readFileSync(`${MODELS}/mha-rope10k/tokenizer.json`, 'utf8');

test('a tokenizer.model cut at any byte is an error', () => {
  for (let end = 0; end < model.length; end++)
    expect(() => parseSentencePiece(model.subarray(0, end), 'm'), String(end)).toThrow(TextError);
});

test('a tokenizer.model with wrong bytes', async () => {
  const random = randomOf(1);
  let loaded = 0;
  for (let round = 0; round < 400; round++) {
    const bytes = Uint8Array.from(model);
    for (let n = 1 + random(4); n > 0; n--) {
      const at = random(bytes.length);
      // A length or a number that says the most; or any byte.
      if (random(3) === 0) bytes.fill(0xff, at, at + 1 + random(9));
      else bytes[at] = random(256);
    }
    loaded += Number(await survives({ 'tokenizer.model': bytes }));
  }
  expect(loaded).toBeGreaterThan(0);
  expect(loaded).toBeLessThan(400);
});

test('a tokenizer.json cut anywhere', async () => {
  const random = randomOf(2);
  for (let round = 0; round < 100; round++)
    expect(await survives({ 'tokenizer.json': json.slice(0, random(json.length)) })).toBe(false);
});

const VALUES = [
  null,
  true,
  -1,
  0.5,
  2 ** 40,
  1e308,
  '',
  '\u0000',
  'Metaspace',
  'x'.repeat(70_000),
  [],
  [[]],
  {},
  { type: 'BPE' },
];

/** Replaces or removes something at any depth. */
function spoil(value: Record<string, unknown>, random: (n: number) => number): void {
  let place = value;
  for (let depth = random(6); depth >= 0; depth--) {
    const keys = Object.keys(place);
    const key = keys[random(keys.length)];
    if (key === undefined) return;
    const inner = place[key];
    if (depth > 0 && typeof inner === 'object' && inner !== null) {
      place = inner as Record<string, unknown>;
    } else if (random(5) === 0 && !Array.isArray(place)) {
      delete place[key];
      return;
    } else {
      place[key] = VALUES[random(VALUES.length)];
      return;
    }
  }
}

test('a tokenizer.json with wrong values', async () => {
  const random = randomOf(3);
  let loaded = 0;
  for (let round = 0; round < 600; round++) {
    const spoilt = JSON.parse(json);
    for (let n = 1 + random(2); n > 0; n--) spoil(spoilt, random);
    loaded += Number(await survives({ 'tokenizer.json': JSON.stringify(spoilt) }));
  }
  expect(loaded).toBeGreaterThan(0);
  expect(loaded).toBeLessThan(600);
});

// The library would end the process.
test('a tokenizer.json whose template names a token that it lacks', async () => {
  const spoilt = JSON.parse(json);
  spoilt.post_processor.special_tokens = {};
  await expect(loadTokenizer(folderWith({ 'tokenizer.json': JSON.stringify(spoilt) }))).rejects.toThrow(
    '"post_processor" of type "TemplateProcessing" is not one that can be read.',
  );
});
