// The text of one sequence on its way out: detokenizer, then stop strings, with log-probabilities kept beside the text.
import type { Detokenizer } from './detokenizer.ts';
import { StopMatcher } from './stop.ts';
import type { TokenLogprob } from './types.ts';

export interface CompletionOptions {
  stop: readonly string[];
  /** The text of the first minTokens tokens takes no part in stop strings. */
  minTokens: number;
  logprobs: boolean;
}

export class Completion {
  /** Tokens pushed, up to and with the one that completed a stop string. */
  numTokens = 0;
  stopped = false;

  /** Released and not yet taken. */
  #text = '';
  #logprobs: TokenLogprob[] = [];
  readonly #detokenizer: Detokenizer;
  readonly #matcher: StopMatcher | null;
  readonly #minTokens: number;
  readonly #aligned: boolean;
  /** UTF-16 units since the start: decoded, and released (at a match: up to the stop string). */
  #numDecoded = 0;
  #numReleased = 0;
  /** Parallel, in order: tokens whose text is not out, and where it ends; Infinity while its last character is unfinished. */
  #waiting: TokenLogprob[] = [];
  #ends: number[] = [];

  constructor(detokenizer: Detokenizer, options: CompletionOptions) {
    this.#detokenizer = detokenizer;
    this.#matcher = options.stop.length > 0 ? new StopMatcher(options.stop) : null;
    this.#minTokens = options.minTokens;
    this.#aligned = options.logprobs;
  }

  get hasOutput(): boolean {
    return this.#text !== '' || this.#logprobs.length > 0;
  }

  take(): { text: string; logprobs: TokenLogprob[] } {
    const output = { text: this.#text, logprobs: this.#logprobs };
    this.#text = '';
    this.#logprobs = [];
    return output;
  }

  /** `logprob` is used when log-probabilities were asked for. */
  push(id: number, logprob: TokenLogprob | null): void {
    if (this.stopped) return;
    this.numTokens++;
    if (!this.#aligned) {
      this.#release(this.#detokenizer.push(id));
      return;
    }
    const wasHolding = this.#detokenizer.holding;
    const text = this.#detokenizer.push(id);
    if (wasHolding && text !== '') this.#closeEnds();
    this.#numDecoded += text.length;
    if (logprob !== null) {
      this.#waiting.push(logprob);
      this.#ends.push(this.#detokenizer.holding ? Number.POSITIVE_INFINITY : this.#numDecoded);
    }
    this.#release(text);
    this.#releaseLogprobs();
  }

  /** No more tokens come. */
  end(): void {
    if (this.stopped) return;
    const text = this.#detokenizer.flush();
    if (text !== '') this.#closeEnds();
    this.#release(text);
    if (!this.stopped && this.#matcher !== null) this.#out(this.#matcher.flush());
    this.#releaseLogprobs();
  }

  /** Bytes held back become exactly the next character. Text is released by whole characters: one unit stands for both of a pair. */
  #closeEnds(): void {
    const end = this.#numDecoded + 1;
    for (let i = this.#ends.length - 1; i >= 0 && this.#ends[i] === Number.POSITIVE_INFINITY; i--) this.#ends[i] = end;
  }

  #release(text: string): void {
    if (this.#matcher === null || this.numTokens <= this.#minTokens) {
      this.#out(text);
      return;
    }
    this.#out(this.#matcher.push(text));
    this.stopped = this.#matcher.matched;
  }

  #out(text: string): void {
    this.#text += text;
    this.#numReleased += text.length;
  }

  #releaseLogprobs(): void {
    let n = 0;
    while (n < this.#ends.length && (this.#ends[n] as number) <= this.#numReleased) n++;
    if (n > 0) {
      for (const token of this.#waiting.splice(0, n)) this.#logprobs.push(token);
      this.#ends.splice(0, n);
    }
    if (this.stopped) {
      this.#waiting = [];
      this.#ends = [];
    }
  }
}
