// Token ids to text, as they come. Only whole characters leave; what a one-shot decode of all bytes gives is what all pieces make.
import { isUtf8 } from 'node:buffer';
import type { Tokenizer } from '../text/types.ts';
import type { TokenStarts } from './types.ts';

const SPACE = 0x20;
const NOTHING = new Uint8Array(0);

/** Bytes that a character takes, told by its first byte; 0 for a byte that starts none (Unicode 16, table 3-7). */
function sequenceLength(lead: number): number {
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  if (lead >= 0xf0 && lead <= 0xf4) return 4;
  return 0;
}

/** Lead bytes that narrow the range of the second byte (no overlong forms, no surrogates, nothing past U+10FFFF). */
function secondFits(lead: number, second: number): boolean {
  if (lead === 0xe0) return second >= 0xa0;
  if (lead === 0xed) return second <= 0x9f;
  if (lead === 0xf0) return second >= 0x90;
  if (lead === 0xf4) return second <= 0x8f;
  return true;
}

/** Length (0..3) of the end of `bytes` that later bytes could complete to a character. */
export function incompleteTail(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const lead = bytes[bytes.length - back] as number;
    if ((lead & 0xc0) === 0x80) continue;
    if (back >= sequenceLength(lead)) return 0;
    return back === 1 || secondFits(lead, bytes[bytes.length - back + 1] as number) ? back : 0;
  }
  return 0;
}

/** The text of every id, found once; shared by all requests. */
export class Pieces {
  readonly tokenizer: Tokenizer;
  /** null: the id's bytes are not whole characters by themselves. */
  readonly #texts: (string | null | undefined)[] = [];

  constructor(tokenizer: Tokenizer) {
    this.tokenizer = tokenizer;
  }

  text(id: number): string | null {
    const known = this.#texts[id];
    if (known !== undefined) return known;
    const bytes = this.tokenizer.bytes(id);
    const text = isUtf8(bytes) ? decodeUtf8(bytes) : null;
    this.#texts[id] = text;
    return text;
  }
}

/** Invalid bytes become U+FFFD by the WHATWG rule (one for each maximal part of a character); a byte-order mark is text. */
function decodeUtf8(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

/** One sequence's text. */
export class Detokenizer {
  readonly #pieces: Pieces;
  /** The start of a character whose rest has not come. */
  #held: Uint8Array = NOTHING;
  /** The next byte is the document's first, and a space there is SentencePiece's dummy prefix. */
  #atStart: boolean;

  /** startsDocument: no text comes before this one (a prompt of special tokens only). */
  constructor(pieces: Pieces, startsDocument: boolean) {
    this.#pieces = pieces;
    this.#atStart = startsDocument && pieces.tokenizer.stripsLeadingSpace;
  }

  /** True while the last bytes wait for the rest of their character. */
  get holding(): boolean {
    return this.#held.length > 0;
  }

  /** True when the token does not go on with the character that is held back, which is one U+FFFD then. */
  breaksOff(id: number): boolean {
    if (this.#held.length === 0) return false;
    const first = this.#pieces.tokenizer.bytes(id).subarray(0, 1);
    return numCharacters(decodeUtf8(Buffer.concat([this.#held, first]))) > 1;
  }

  push(id: number): string {
    if (this.#held.length === 0 && !this.#atStart) {
      const text = this.#pieces.text(id);
      if (text !== null) return text;
    }
    return this.#join(this.#pieces.tokenizer.bytes(id));
  }

  /** No more tokens come: an unfinished character becomes one U+FFFD. */
  flush(): string {
    const text = decodeUtf8(this.#held);
    this.#held = NOTHING;
    return text;
  }

  #join(piece: Uint8Array): string {
    if (piece.length === 0) return '';
    const fresh = this.#atStart && piece[0] === SPACE ? piece.subarray(1) : piece;
    this.#atStart = false;
    const bytes = this.#held.length === 0 ? fresh : Buffer.concat([this.#held, fresh]);
    const whole = bytes.length - incompleteTail(bytes);
    this.#held = whole === bytes.length ? NOTHING : bytes.subarray(whole);
    return decodeUtf8(bytes.subarray(0, whole));
  }
}

/** Where each token of a text begins in it; a token whose first byte goes on with a character begins with that character. */
export class DetokenizedStarts implements TokenStarts {
  readonly #detokenizer: Detokenizer;
  #numCharacters = 0;

  constructor(detokenizer: Detokenizer) {
    this.#detokenizer = detokenizer;
  }

  next(id: number): number {
    const start = this.#numCharacters + (this.#detokenizer.breaksOff(id) ? 1 : 0);
    this.#numCharacters += numCharacters(this.#detokenizer.push(id));
    return start;
  }
}

/** Code points. */
function numCharacters(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

/** True when no token of a prompt has text, so that what follows starts the document. */
export function isTextless(ids: Uint32Array, tokenizer: Tokenizer): boolean {
  return ids.every((id) => tokenizer.isSpecial(id));
}

/** One-shot text of a whole document; control tokens are nothing, or their spelling. */
export function decode(ids: Uint32Array, pieces: Pieces, spellControl = false): string {
  const { tokenizer } = pieces;
  const detokenizer = new Detokenizer(pieces, true);
  let text = '';
  for (const id of ids) {
    if (spellControl && tokenizer.isSpecial(id)) text += detokenizer.flush() + tokenizer.spelling(id);
    else text += detokenizer.push(id);
  }
  return text + detokenizer.flush();
}
