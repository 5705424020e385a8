import { describe, expect, it } from 'vitest';
import { Completion } from '../../../src/engine/completion.ts';
import { Detokenizer, Pieces } from '../../../src/engine/detokenizer.ts';
import type { TokenLogprob } from '../../../src/engine/types.ts';
import { Random } from './random.ts';
import { type Piece, TableTokenizer } from './table-tokenizer.ts';

const logprob = (id: number): TokenLogprob => ({ id, logprob: -id, top: [] });

function completionOf(pieces: readonly Piece[], stop: readonly string[] = [], minTokens = 0): Completion {
  const detokenizer = new Detokenizer(new Pieces(new TableTokenizer(pieces)), false);
  return new Completion(detokenizer, { stop, minTokens, logprobs: true });
}

/** What each push released: the text, then the ids. */
function steps(completion: Completion, ids: readonly number[]): [string, number[]][] {
  const take = (): [string, number[]] => {
    const { text, logprobs } = completion.take();
    return [text, logprobs.map((token) => token.id)];
  };
  const out = ids.map((id) => {
    completion.push(id, logprob(id));
    return take();
  });
  completion.end();
  return [...out, take()];
}

describe('Completion', () => {
  it('releases a token that completes no character together with the one that does', () => {
    // 你 over three tokens, the last of which begins é.
    const pieces = ['a', Uint8Array.of(0xe4), Uint8Array.of(0xbd), Uint8Array.of(0xa0, 0xc3), Uint8Array.of(0xa9), null];
    expect(steps(completionOf(pieces), [0, 1, 2, 3, 5, 4])).toEqual([
      ['a', [0]],
      ['', []],
      ['', []],
      ['你', [1, 2]],
      ['', []],
      ['é', [3, 5, 4]],
      ['', []],
    ]);
  });

  it('releases the tokens of an unfinished character at the end', () => {
    expect(steps(completionOf([Uint8Array.of(0xf0), Uint8Array.of(0x9f)]), [0, 1])).toEqual([
      ['', []],
      ['', []],
      ['\ufffd', [0, 1]],
    ]);
  });

  it('holds a token back while its text may be a stop string', () => {
    expect(steps(completionOf(['a', 'bc', 'd', null]), [0, 1, 3, 2])).toEqual([
      ['a', [0]],
      ['bc', [1]],
      ['', [3]],
      ['d', [2]],
      ['', []],
    ]);
    expect(steps(completionOf(['a', 'bc', 'd', null], ['cx']), [0, 1, 3, 2])).toEqual([
      ['a', [0]],
      ['b', []],
      ['', []],
      ['cd', [1, 3, 2]],
      ['', []],
    ]);
  });

  it('leaves out the tokens of the stop string, wholly or partly inside it', () => {
    const completion = completionOf(['a', 'bS', 'TO', 'Pc', 'd'], ['STOP']);
    expect(steps(completion, [0, 1, 2, 3, 4])).toEqual([
      ['a', [0]],
      ['b', []],
      ['', []],
      ['', []],
      ['', []],
      ['', []],
    ]);
    expect(completion.stopped).toBe(true);
    expect(completion.numTokens).toBe(4);
  });

  it('keeps the tokens of a character that comes right before a stop string in the same token', () => {
    const completion = completionOf([Uint8Array.of(0xe4, 0xbd), Uint8Array.of(0xa0, 0x58)], ['X']);
    expect(steps(completion, [0, 1])).toEqual([
      ['', []],
      ['你', [0]],
      ['', []],
    ]);
  });

  it('finds a stop string that only the end of the text completes', () => {
    const completion = completionOf(['a', Uint8Array.of(0xc3)], ['\ufffd']);
    expect(steps(completion, [0, 1])).toEqual([
      ['a', [0]],
      ['', []],
      ['', []],
    ]);
    expect(completion.stopped).toBe(true);
  });

  it('gives back at the end what could have been a stop string', () => {
    expect(steps(completionOf(['ST'], ['STOP']), [0])).toEqual([
      ['', []],
      ['ST', [0]],
    ]);
  });

  it('looks for stop strings only after the first minTokens tokens', () => {
    const completion = completionOf(['X', 'a'], ['X'], 2);
    expect(steps(completion, [0, 0, 1, 0, 1])).toEqual([
      ['X', [0]],
      ['X', [0]],
      ['a', [1]],
      ['', []],
      ['', []],
      ['', []],
    ]);
    expect(completion.numTokens).toBe(4);
  });

  it('keeps tokens and text together over random bytes and stop strings', () => {
    const random = new Random(3);
    const decode = (pieces: Uint8Array[]): string =>
      new TextDecoder('utf-8', { ignoreBOM: true }).decode(Buffer.concat(pieces));
    for (let round = 0; round < 2000; round++) {
      const bytes = new TextEncoder().encode(random.text(['a', 'b', 'é', '😀'], 1 + random.below(12)));
      const pieces: Uint8Array[] = [];
      for (let at = 0; at < bytes.length; ) {
        const end = at + 1 + random.below(3);
        pieces.push(bytes.slice(at, end));
        at = end;
      }
      const stop = [random.text(['a', 'b', 'é', '😀'], 1 + random.below(3))];
      const completion = completionOf(pieces, stop);
      let text = '';
      const ids: number[] = [];
      for (let id = 0; id <= pieces.length; id++) {
        if (id < pieces.length) completion.push(id, logprob(id));
        else completion.end();
        const output = completion.take();
        text += output.text;
        ids.push(...output.logprobs.map((token) => token.id));
        // Released tokens are a prefix of the tokens, the text of which is out; only whole characters count.
        expect(ids).toEqual(ids.map((_, i) => i));
        const released = decode(pieces.slice(0, ids.length)).replace(/\ufffd+$/u, '');
        expect(text.startsWith(released)).toBe(true);
        const next = pieces.slice(0, ids.length + 1);
        if (!completion.stopped && ids.length < Math.min(id + 1, pieces.length)) {
          expect(Buffer.concat(next).length).toBeGreaterThan(new TextEncoder().encode(text).length);
        }
      }
      const whole = decode(pieces);
      const cut = whole.indexOf(stop[0] as string);
      expect(completion.stopped).toBe(cut >= 0);
      expect(text).toBe(cut >= 0 ? whole.slice(0, cut) : whole);
    }
  });
});
