import { describe, expect, it } from 'vitest';
import { Detokenizer, decode, isTextless, Pieces } from '../../../src/engine/detokenizer.ts';
import { Random } from './random.ts';
import { TableTokenizer } from './table-tokenizer.ts';

const oneShot = (bytes: Uint8Array): string => new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);

/** Bytes that begin, continue and break characters of every length far more often than chance. */
const EDGE_BYTES = [
  0x00, 0x20, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbb, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xee, 0xef, 0xf0,
  0xf1, 0xf4, 0xf5, 0xff,
];

function randomBytes(random: Random, length: number): Uint8Array {
  if (random.below(3) === 0)
    return new TextEncoder().encode(random.text(['a', ' ', 'é', '你', '😀', '\ufeff', '\ufffd'], length));
  return Uint8Array.from({ length }, () => (random.below(4) === 0 ? random.below(256) : random.pick(EDGE_BYTES)));
}

/** Cut anywhere; empty pieces too. */
function cut(random: Random, bytes: Uint8Array): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + random.below(5));
    pieces.push(bytes.slice(at, end));
    at = end;
  }
  return pieces;
}

function stream(detokenizer: Detokenizer, numTokens: number): string[] {
  const out = Array.from({ length: numTokens }, (_, id) => detokenizer.push(id));
  return [...out, detokenizer.flush()];
}

describe('Detokenizer', () => {
  it('gives the one-shot decode of any bytes, cut anywhere', () => {
    const random = new Random(1);
    for (let round = 0; round < 5000; round++) {
      const bytes = randomBytes(random, random.below(14));
      const pieces = cut(random, bytes);
      const out = stream(new Detokenizer(new Pieces(new TableTokenizer(pieces)), true), pieces.length);
      expect(out.join(''), Buffer.from(bytes).toString('hex')).toBe(oneShot(bytes));
    }
  });

  it('gives every valid prefix of a well-formed text as soon as its last byte has come', () => {
    const text = 'aé你😀b\ufeffz';
    const bytes = [...new TextEncoder().encode(text)].map((byte) => Uint8Array.of(byte));
    const detokenizer = new Detokenizer(new Pieces(new TableTokenizer(bytes)), true);
    const out = bytes.map((_, id) => detokenizer.push(id));
    expect(out).toEqual(['a', '', 'é', '', '', '你', '', '', '', '😀', 'b', '', '', '\ufeff', 'z']);
    expect(detokenizer.holding).toBe(false);
  });

  it('never cuts a character in two and knows when it holds one back', () => {
    const detokenizer = new Detokenizer(
      new Pieces(new TableTokenizer([Uint8Array.of(0x41, 0xf0, 0x9f), Uint8Array.of(0x98)])),
      false,
    );
    expect(detokenizer.push(0)).toBe('A');
    expect(detokenizer.holding).toBe(true);
    expect(detokenizer.push(1)).toBe('');
    expect(detokenizer.flush()).toBe('\ufffd');
    expect(detokenizer.holding).toBe(false);
    expect(detokenizer.flush()).toBe('');
  });

  it.each([
    ['e0', '9f', 'a0'],
    ['ed', 'a0', '9f'],
    ['f0', '8f', '90'],
    ['f4', '90', '8f'],
    ['c3', '41', 'a9'],
    ['e4', 'c3', 'bd'],
  ])('does not wait after %s for the rest of a character when %s makes it impossible', (lead, wrong, right) => {
    const push = (second: string): { text: string; holding: boolean } => {
      const pieces = [lead, second].map((hex) => Uint8Array.from(Buffer.from(hex, 'hex')));
      const detokenizer = new Detokenizer(new Pieces(new TableTokenizer(pieces)), false);
      return { text: detokenizer.push(0) + detokenizer.push(1), holding: detokenizer.holding };
    };
    const startsAnother = wrong === 'c3';
    expect(push(wrong).text).toMatch(startsAnother ? /^\ufffd$/u : /^\ufffd.$/u);
    expect(push(wrong).holding).toBe(startsAnother);
    expect(push(right)).toEqual(lead === 'c3' ? { text: 'é', holding: false } : { text: '', holding: true });
  });

  it('lets a special token pass between the bytes of a character', () => {
    const tokenizer = new TableTokenizer([null, Uint8Array.of(0xc3), Uint8Array.of(0xa9)]);
    const detokenizer = new Detokenizer(new Pieces(tokenizer), true);
    expect([1, 0, 2].map((id) => detokenizer.push(id))).toEqual(['', '', 'é']);
  });

  it('drops one leading space of a document, and only there', () => {
    const tokenizer = new TableTokenizer([null, ' Once', '  two', ' ', 'x'], true);
    const pieces = new Pieces(tokenizer);
    const ids = (...list: number[]): Uint32Array => Uint32Array.from(list);
    expect(decode(ids(0, 1, 1), pieces)).toBe('Once Once');
    expect(decode(ids(2), pieces)).toBe(' two');
    expect(decode(ids(3, 1), pieces)).toBe(' Once');
    expect(decode(ids(4, 1), pieces)).toBe('x Once');
    expect(decode(ids(), pieces)).toBe('');
    const continuation = new Detokenizer(pieces, false);
    expect(continuation.push(1)).toBe(' Once');
    const plain = new Pieces(new TableTokenizer([null, ' Once']));
    expect(decode(ids(0, 1), plain)).toBe(' Once');
  });

  it('counts a prompt of special tokens as no text', () => {
    const tokenizer = new TableTokenizer([null, null, ' a']);
    expect(isTextless(Uint32Array.of(0, 1), tokenizer)).toBe(true);
    expect(isTextless(Uint32Array.of(0, 2), tokenizer)).toBe(false);
  });
});
