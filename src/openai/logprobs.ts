// Log-probabilities in the two shapes of the API. JSON has no infinity: what is never chosen is -9999.
import type { Engine, TokenLogprob } from '../engine/types.ts';

const floor = -9999;

/** Also takes NaN to the floor. */
const finite = (logprob: number) => (logprob > floor ? Math.min(logprob, 0) : floor);

/** What of the engine log-probabilities need. */
export type Vocabulary = Pick<Engine, 'spelling' | 'bytes'>;

export interface ChatLogprobs {
  content: ChatTokenLogprob[];
  refusal: null;
}

interface TokenEntry {
  token: string;
  logprob: number;
  bytes: number[];
}

interface ChatTokenLogprob extends TokenEntry {
  top_logprobs: TokenEntry[];
}

export function chatLogprobs(vocabulary: Vocabulary, tokens: readonly TokenLogprob[]): ChatLogprobs {
  const entry = (id: number, logprob: number): TokenEntry => ({
    token: vocabulary.spelling(id),
    logprob: finite(logprob),
    bytes: [...vocabulary.bytes(id)],
  });
  return {
    content: tokens.map(({ id, logprob, top }) => ({
      ...entry(id, logprob ?? floor),
      top_logprobs: top.map((other) => entry(other.id, other.logprob)),
    })),
    refusal: null,
  };
}

export interface TextLogprobs {
  tokens: string[];
  token_logprobs: (number | null)[];
  top_logprobs: (Record<string, number> | null)[];
  text_offset: number[];
}

/** One choice's tokens in the completions shape; offsets count code points from the start of the choice's text. */
export class TextLogprobsWriter {
  readonly #vocabulary: Vocabulary;
  #offset: number;

  /** `skipped`: characters of the first token that the text does not show (SentencePiece's dummy space). */
  constructor(vocabulary: Vocabulary, skipped: number) {
    this.#vocabulary = vocabulary;
    this.#offset = -skipped;
  }

  write(tokens: readonly TokenLogprob[]): TextLogprobs {
    return {
      tokens: tokens.map(({ id }) => this.#vocabulary.spelling(id)),
      token_logprobs: tokens.map(({ logprob }) => (logprob === null ? null : finite(logprob))),
      top_logprobs: tokens.map((token) => this.#top(token)),
      text_offset: tokens.map(({ id }) => this.#advance(id)),
    };
  }

  /** The best tokens and the chosen one; of two tokens with one spelling the likelier. */
  #top({ id, logprob, top }: TokenLogprob): Record<string, number> | null {
    if (logprob === null) return null;
    const best = new Map<string, number>();
    for (const entry of [...top, { id, logprob }]) {
      const spelling = this.#vocabulary.spelling(entry.id);
      if (!best.has(spelling)) best.set(spelling, finite(entry.logprob));
    }
    return Object.fromEntries(best);
  }

  /** A character split over tokens belongs to the token with its first byte. */
  #advance(id: number): number {
    const offset = Math.max(this.#offset, 0);
    for (const byte of this.#vocabulary.bytes(id)) if ((byte & 0xc0) !== 0x80) this.#offset++;
    return offset;
  }
}
