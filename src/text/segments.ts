// Strings cut at control tokens, and tokens traced back to the pieces that they came from.
import type { Segment, Span } from './types.ts';

/** Finds any of the strings, the first of those that match at one place: list longer ones first. */
export function anyOf(strings: readonly string[]): RegExp {
  return strings.length === 0 ? /(?!)/g : new RegExp(strings.map(escapeRegExp).join('|'), 'g');
}

export function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

/** Markup: what `control` matches is control, the rest is text. */
export function splitMarkup(text: string, control: RegExp): Segment[] {
  const segments: Segment[] = [];
  let at = 0;
  for (const match of text.matchAll(control)) {
    segments.push({ text: text.slice(at, match.index), control: false, message: -1 });
    segments.push({ text: match[0], control: true, message: -1 });
    at = match.index + match[0].length;
  }
  segments.push({ text: text.slice(at), control: false, message: -1 });
  return segments;
}

/** A piece of an encoded text. Positions are in UTF-16 units, as strings count. */
export interface Extent {
  /** In the encoded text: where an extent ends the next begins. */
  end: number;
  /** In the text that was given: without what encoding puts before a piece, control tokens as they are spelled. */
  textEnd: number;
  message: number;
}

/** An encoded text's tokens, where the library holds them: copying them all would hold the event loop. */
export interface Encoded {
  readonly numTokens: number;
  /** Where a token's characters begin and end in the encoded text, in code points; neither falls from token to token. */
  charsOf(token: number): readonly [start: number, end: number];
}

/** Extents are in text order and cover it all. A token on a border belongs to the message. */
export function spansOf(encoded: Encoded, extents: readonly Extent[], text: string): Span[] {
  const ends = inCodePoints(extents, text);
  const spans: Span[] = [];
  const add = (end: number, message: number) => {
    const open = spans.at(-1);
    const start = open?.end ?? 0;
    if (end === start) return;
    if (open?.message === message) open.end = end;
    else spans.push({ start, end, message, textEnd: 0 });
  };
  let start = 0;
  extents.forEach(({ message }, i) => {
    const next = firstTokenFrom(ends[i] as number, encoded, start);
    if (next === start) return;
    // Of the tokens that begin in an extent, only the last can end beyond it.
    add(next - 1, message);
    add(next, ownerOf(encoded.charsOf(next - 1)[1], i, extents, ends));
    start = next;
  });
  return inText(spans, encoded, extents, ends, text);
}

/** The first token, from `low`, that begins at a code point or after it. */
function firstTokenFrom(point: number, { numTokens, charsOf }: Encoded, low: number): number {
  let high = numTokens;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (charsOf(middle)[0] < point) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Whose a token is that begins in extent `first` and ends at the code point `end`. */
function ownerOf(end: number, first: number, extents: readonly Extent[], ends: readonly number[]): number {
  let owner = -1;
  for (let i = first; i < extents.length; i++) {
    const message = extents[i]?.message ?? -1;
    if (message >= 0) owner = message;
    if ((ends[i] as number) >= end) break;
  }
  return owner;
}

/** A span's text ends where the next one's first token begins: the texts join to the whole. */
function inText(
  spans: Span[],
  { charsOf }: Encoded,
  extents: readonly Extent[],
  ends: readonly number[],
  text: string,
): Span[] {
  let i = 0;
  spans.forEach((span, k) => {
    const next = spans[k + 1];
    if (next === undefined) {
      span.textEnd = extents.at(-1)?.textEnd ?? 0;
      return;
    }
    const [point] = charsOf(next.start);
    while ((ends[i] as number) <= point) i++;
    const { end, textEnd } = extents[i] as Extent;
    const { end: from, textEnd: textFrom } = extents[i - 1] ?? { end: 0, textEnd: 0 };
    const skipped = point - (ends[i - 1] ?? 0);
    // What encoding puts before a piece is no text; a control token is never begun in its middle.
    const before = end - from - (textEnd - textFrom);
    span.textEnd = skipped === 0 ? textFrom : textFrom + Math.max(unitsOf(skipped, text, from) - before, 0);
  });
  return spans;
}

/** UTF-16 units of so many code points. */
function unitsOf(points: number, text: string, from: number): number {
  let unit = from;
  for (let point = 0; point < points; point++) unit += (text.codePointAt(unit) as number) > 0xffff ? 2 : 1;
  return unit - from;
}

function inCodePoints(extents: readonly Extent[], text: string): number[] {
  let unit = 0;
  let point = 0;
  return extents.map(({ end }) => {
    while (unit < end) {
      unit += (text.codePointAt(unit) as number) > 0xffff ? 2 : 1;
      point++;
    }
    return point;
  });
}
