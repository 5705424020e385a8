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

/** A piece of an encoded text: `end` is its end in UTF-16 units, as strings count. */
export interface Extent {
  end: number;
  message: number;
}

/**
 * offsets[k]: where token k's characters begin and end in `text`, in code points. Extents are in text order and cover it all. A
 * token on a border belongs to the message.
 */
export function spansOf(offsets: readonly (readonly number[])[], extents: readonly Extent[], text: string): Span[] {
  const ends = inCodePoints(extents, text);
  const messages = extents.map(({ message }) => message);
  const spans: Span[] = [];
  let first = 0;
  offsets.forEach(([start = 0, end = start], token) => {
    while (first < ends.length - 1 && (ends[first] as number) <= start) first++;
    let last = first;
    while (last < ends.length - 1 && (ends[last] as number) < end) last++;
    const owner = messages.slice(first, last + 1).findLast((message) => message >= 0) ?? -1;
    const open = spans.at(-1);
    if (open?.message === owner) open.end = token + 1;
    else spans.push({ start: token, end: token + 1, message: owner });
  });
  return spans;
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
