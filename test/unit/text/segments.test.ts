import { describe, expect, test } from 'vitest';
import { type Encoded, type Extent, spansOf } from '../../../src/text/segments.ts';
import { loadTokenizer } from '../../../src/text/tokenizer.ts';
import type { Segment, Span } from '../../../src/text/types.ts';
import { MODELS } from './references.ts';
import { random, randomText } from './unicode.ts';

type Place = [start: number, end: number];

/** Tokens of 1 to 4 code points, some of them several times, as the bytes of one character are. */
function randomTokens(next: () => number, numPoints: number): Place[] {
  const places: Place[] = [];
  for (let start = 0; start < numPoints; ) {
    const end = Math.min(start + 1 + Math.floor(next() * 4), numPoints);
    const copies = end - start === 1 ? 1 + Math.floor(next() * 3) : 1;
    places.push(...Array.from({ length: copies }, (): Place => [start, end]));
    start = end;
  }
  return places;
}

function randomExtents(next: () => number, points: readonly string[]): Extent[] {
  const extents: Extent[] = [];
  let end = 0;
  for (let at = 0; at < points.length; ) {
    const length = Math.min(1 + Math.floor(next() * 9), points.length - at);
    end += points.slice(at, at + length).join('').length;
    extents.push({ end, textEnd: end, message: Math.floor(next() * 4) - 1 });
    at += length;
  }
  return extents;
}

/** Token by token, in so many words. */
function plainSpans(places: readonly Place[], extents: readonly Extent[], points: readonly string[]): Span[] {
  const unit = (point: number) => points.slice(0, point).join('').length;
  const owners = places.map(([start, end]) => {
    const touched = extents.filter((extent, i) => (extents[i - 1]?.end ?? 0) < unit(end) && extent.end > unit(start));
    return touched.map(({ message }) => message).findLast((message) => message >= 0) ?? -1;
  });
  const starts = owners.flatMap((owner, token) => (owner === owners[token - 1] ? [] : [token]));
  return starts.map((start, k) => {
    const end = starts[k + 1] ?? places.length;
    return { start, end, message: owners[start] as number, textEnd: unit(places[end]?.[0] ?? points.length) };
  });
}

test('spans are what each token’s place says', () => {
  const next = random(11);
  for (let i = 0; i < 300; i++) {
    const text = randomText(next, { markup: true });
    const points = [...text];
    const places = randomTokens(next, points.length);
    const extents = randomExtents(next, points);
    const encoded: Encoded = { numTokens: places.length, charsOf: (token) => places[token] as Place };
    expect(spansOf(encoded, extents, text), JSON.stringify([text, places, extents])).toEqual(
      plainSpans(places, extents, points),
    );
  }
});

describe('in a real tokenizer', () => {
  /** Few pieces of many tokens are searched, many of few are copied: the spans of the one are within those of the other. */
  test.each([1, 30])('pieces %i times as long', async (length) => {
    const tokenizer = await loadTokenizer(`${MODELS}/mha-rope10k`);
    const next = random(12);
    for (let i = 0; i < 10; i++) {
      const segments = Array.from({ length: 6 }, (_, message): Segment[] => [
        { text: '</s>', control: true, message: -1 },
        { text: `${randomText(next, { markup: false })}.`.repeat(length), control: false, message },
      ]).flat();
      const { ids, spans } = await tokenizer.encodeSegments(segments);
      const text = segments.map((segment) => segment.text).join('');
      expect(spans.map(({ message }) => message)).toEqual(segments.map(({ message }) => message));
      expect(spans.map(({ textEnd }, k) => text.slice(spans[k - 1]?.textEnd ?? 0, textEnd))).toEqual(
        segments.map((segment) => segment.text),
      );
      expect([...ids].flatMap((id, token) => (tokenizer.isSpecial(id) ? [token] : []))).toEqual(
        spans.flatMap(({ start, message }) => (message < 0 ? [start] : [])),
      );
    }
  });
});
