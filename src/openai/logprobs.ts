// Log-probabilities in the two shapes of the API. JSON has no infinity: what is never chosen is -9999.
import { isUtf8 } from 'node:buffer';
import type { Engine, TokenLogprob, TokenStarts } from '../engine/types.ts';

const floor = -9999;

/** Also takes NaN to the floor. */
const finite = (logprob: number) => (logprob > floor ? Math.min(logprob, 0) : floor);

/** What of the engine log-probabilities need. */
export type Vocabulary = Pick<Engine, 'spelling' | 'bytes'>;

/** A token that is no whole characters by itself is spelled by its bytes, as OpenAI does: "\xe2\x82", after the prefix. */
export function spelled(vocabulary: Vocabulary, id: number, prefix: string): string {
  const bytes = vocabulary.bytes(id);
  if (isUtf8(bytes)) return vocabulary.spelling(id);
  return prefix + Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');
}

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
    token: spelled(vocabulary, id, ''),
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
  readonly #engine: Engine;
  readonly #echoStarts: TokenStarts;
  readonly #starts: TokenStarts;
  readonly #echoLength: number;

  /** `echo`: the prompt's text if it comes before the answer's, else nothing. */
  constructor(engine: Engine, prompt: Uint32Array, echo: string) {
    this.#engine = engine;
    this.#echoStarts = engine.tokenStarts(new Uint32Array());
    this.#starts = engine.tokenStarts(prompt);
    this.#echoLength = [...echo].length;
  }

  /** `echoed` are the prompt's tokens, once, if its text is shown. */
  write(echoed: readonly TokenLogprob[], generated: readonly TokenLogprob[]): TextLogprobs {
    const tokens = [...echoed, ...generated];
    return {
      tokens: tokens.map(({ id }) => this.#spelled(id)),
      token_logprobs: tokens.map(({ logprob }) => (logprob === null ? null : finite(logprob))),
      top_logprobs: tokens.map((token) => this.#top(token)),
      text_offset: [
        ...echoed.map(({ id }) => this.#echoStarts.next(id)),
        ...generated.map(({ id }) => this.#echoLength + this.#starts.next(id)),
      ],
    };
  }

  /** The best tokens and the chosen one; of two tokens with one spelling the likelier. */
  #top({ id, logprob, top }: TokenLogprob): Record<string, number> | null {
    if (logprob === null) return null;
    const best = new Map<string, number>();
    for (const entry of [...top, { id, logprob }]) {
      const spelling = this.#spelled(entry.id);
      if (!best.has(spelling)) best.set(spelling, finite(entry.logprob));
    }
    return Object.fromEntries(best);
  }

  #spelled(id: number): string {
    return spelled(this.#engine, id, 'bytes:');
  }
}
