// One sequence as its consumer sees it: an iterator of deltas, written by hand because an async generator costs more promises
// per chunk. Whatever came since the consumer last looked is one delta.
import { setMaxListeners } from 'node:events';
import { FinishCode } from '../native/addon.ts';
import type { Completion } from './completion.ts';
import { type Delta, EngineError, type Finish, type GenerateRequest, type TokenLogprob } from './types.ts';

/** What a generation asks of the engine. Each accepted start is answered by one `leave`, or the sequence finished by itself. */
export interface Sequences {
  /** Submits, and routes the sequence's events to the generation; throws EngineError. */
  start(generation: Generation): number;
  /** Stops computing; events still come. */
  cancel(id: number): void;
  /** Stops computing and routing. */
  leave(id: number): void;
}

/** finished: the engine is done, the consumer is not. over: the consumer is done. */
type State = 'new' | 'running' | 'finished' | 'over';

interface Waiter {
  resolve(result: IteratorResult<Delta>): void;
  reject(error: unknown): void;
}

const CANCELLED = 'The engine cancelled a sequence that nobody had cancelled; it is shutting down.';
const DONE: IteratorResult<Delta> = { value: undefined, done: true };

export class Generation implements AsyncIterableIterator<Delta> {
  readonly request: GenerateRequest;
  /** Already in the list of those to wake after this batch of events. */
  touched = false;

  readonly #sequences: Sequences;
  readonly #completion: Completion;
  readonly #signal: AbortSignal;
  readonly #onAbort = (): void => this.#abort();
  #state: State = 'new';
  #id = -1;
  #promptLogprobs: TokenLogprob[] | null;
  #finish: Finish | null = null;
  #failure: EngineError | null = null;
  #waiter: Waiter | null = null;

  constructor(request: GenerateRequest, completion: Completion, sequences: Sequences, signal: AbortSignal) {
    this.request = request;
    this.#completion = completion;
    this.#sequences = sequences;
    this.#signal = signal;
    this.#promptLogprobs = request.promptLogprobs === null ? null : [];
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The first call submits. */
  next(): Promise<IteratorResult<Delta>> {
    if (this.#state === 'over') return Promise.resolve(DONE);
    if (this.#waiter !== null) {
      return Promise.reject(
        new EngineError('next() was called twice at once; await the first result before asking for another.'),
      );
    }
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
      if (this.#signal.aborted) this.#abort();
      else if (this.#state === 'new') this.#start();
      else this.wake();
    });
  }

  return(): Promise<IteratorResult<Delta>> {
    this.#close()?.resolve(DONE);
    return Promise.resolve(DONE);
  }

  throw(error: unknown): Promise<IteratorResult<Delta>> {
    this.#close()?.resolve(DONE);
    return Promise.reject(error);
  }

  /** Answers a waiting consumer if there is something to say. */
  wake(): void {
    const waiter = this.#waiter;
    if (waiter === null) return;
    if (this.#completion.hasOutput || this.#finish !== null) {
      this.#waiter = null;
      waiter.resolve({ value: this.#take(), done: false });
    } else if (this.#failure !== null) {
      this.#close();
      waiter.reject(this.#failure);
    }
  }

  onToken(id: number, logprob: TokenLogprob | null): void {
    if (this.#completion.stopped) return;
    this.#completion.push(id, logprob);
    if (this.#completion.stopped) this.#sequences.cancel(this.#id);
  }

  onPromptToken(logprob: TokenLogprob): void {
    this.#promptLogprobs?.push(logprob);
  }

  /** The sequence's last event, for which it is no longer routed. A matched stop string outweighs how the sequence then ended. */
  onFinish(code: number, cachedTokens: number, stopToken: number, message: string): void {
    const stopped = this.#completion.stopped;
    if (!stopped && code === FinishCode.Error) this.fail(new EngineError(message));
    else if (!stopped && code === FinishCode.Cancelled) this.fail(new EngineError(CANCELLED));
    else this.#succeed(code, cachedTokens, stopToken);
  }

  /** The sequence is gone. Text that is out already still reaches the consumer before the error does. */
  fail(error: EngineError): void {
    this.#state = 'finished';
    this.#failure = error;
  }

  #succeed(code: number, cachedTokens: number, stopToken: number): void {
    this.#completion.end();
    this.#state = 'finished';
    this.#finish = {
      reason: this.#completion.stopped || code === FinishCode.Stop ? 'stop' : 'length',
      promptTokens: this.request.tokens.length,
      completionTokens: this.#completion.numTokens + (stopToken >= 0 && !this.#completion.stopped ? 1 : 0),
      cachedTokens,
    };
  }

  #start(): void {
    try {
      this.#id = this.#sequences.start(this);
    } catch (error) {
      this.#close()?.reject(error);
      return;
    }
    this.#state = 'running';
    // All choices of a request listen to its signal: more than 10 are no leak.
    setMaxListeners(0, this.#signal);
    this.#signal.addEventListener('abort', this.#onAbort);
  }

  /** What was not taken yet is dropped. Without a waiting consumer the next call of next() comes here again to throw. */
  #abort(): void {
    this.#leave();
    if (this.#waiter !== null) this.#close()?.reject(this.#signal.reason);
  }

  #leave(): void {
    if (this.#state === 'running') this.#sequences.leave(this.#id);
    this.#state = 'finished';
  }

  /** Idempotent; gives back the waiting consumer, who must be answered. */
  #close(): Waiter | null {
    this.#leave();
    this.#state = 'over';
    this.#signal.removeEventListener('abort', this.#onAbort);
    const waiter = this.#waiter;
    this.#waiter = null;
    return waiter;
  }

  #take(): Delta {
    // Spelled out: spreading cost half of a chunk's time.
    const { text, logprobs } = this.#completion.take();
    const delta = { text, logprobs, promptLogprobs: this.#promptLogprobs, finish: this.#finish };
    this.#promptLogprobs = null;
    if (this.#finish !== null) this.#close();
    return delta;
  }
}
