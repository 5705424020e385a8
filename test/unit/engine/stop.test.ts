import { describe, expect, it } from 'vitest';
import { StopMatcher } from '../../../src/engine/stop.ts';
import { Random } from './random.ts';

/** The stop string that is complete first, the longest of those: where it starts, or -1. */
function naiveCut(text: string, stops: readonly string[]): number {
  for (let end = 1; end <= text.length; end++) {
    const starts = stops.filter((stop) => stop !== '' && text.slice(0, end).endsWith(stop)).map((stop) => end - stop.length);
    if (starts.length > 0) return Math.min(...starts);
  }
  return -1;
}

/** What may be out: all but the longest end that a stop string begins with. */
function naiveReleased(text: string, stops: readonly string[]): string {
  for (let start = 0; start < text.length; start++) {
    if (stops.some((stop) => stop.startsWith(text.slice(start)))) return text.slice(0, start);
  }
  return text;
}

describe('StopMatcher', () => {
  it('cuts, holds back and releases as a naive search does, however the text is cut', () => {
    const random = new Random(2);
    let matches = 0;
    for (let round = 0; round < 5000; round++) {
      const alphabet = random.pick([
        ['a', 'b'],
        ['a', 'b', 'c'],
        ['a', '😀', '😁'],
      ]);
      const stops = Array.from({ length: 1 + random.below(4) }, () => random.text(alphabet, 1 + random.below(6)));
      const text = random.text(alphabet, random.below(24));
      const characters = [...text];
      const matcher = new StopMatcher(stops);
      let out = '';
      let seen = '';
      while (characters.length > 0) {
        const piece = characters.splice(0, random.below(5)).join('');
        seen += piece;
        out += matcher.push(piece);
        const cut = naiveCut(seen, stops);
        expect(matcher.matched).toBe(cut >= 0);
        expect(out, `${stops} in ${seen}`).toBe(cut >= 0 ? seen.slice(0, cut) : naiveReleased(seen, stops));
      }
      out += matcher.flush();
      const cut = naiveCut(text, stops);
      expect(out).toBe(cut >= 0 ? text.slice(0, cut) : text);
      if (cut >= 0) matches++;
    }
    expect(matches).toBeGreaterThan(1000);
  });

  it('says nothing after a match', () => {
    const matcher = new StopMatcher(['END']);
    expect(matcher.push('aEN')).toBe('a');
    expect(matcher.push('Db')).toBe('');
    expect(matcher.push('c')).toBe('');
    expect(matcher.flush()).toBe('');
    expect(matcher.matched).toBe(true);
  });

  it('takes the longest of stop strings that end together', () => {
    const matcher = new StopMatcher(['b', 'ab']);
    expect(matcher.push('xab')).toBe('x');
  });

  it('ignores empty strings and halves of surrogate pairs', () => {
    const matcher = new StopMatcher(['', '\ude00']);
    expect(matcher.push('a😀b')).toBe('a😀b');
    expect(matcher.matched).toBe(false);
  });

  it('takes steps in proportion to the text for a long periodic stop string', () => {
    const stop = `${'a'.repeat(50_000)}b`;
    const matcher = new StopMatcher([stop]);
    let length = 0;
    for (let i = 0; i < 200_000; i++) length += matcher.push('a').length;
    expect(length).toBe(150_000);
    expect(matcher.push('b')).toBe('');
    expect(matcher.matched).toBe(true);
  });
});
