// Routes the events of the native engine to their generations: one pass over the parallel arrays, one wake-up for each
// generation however many of its events the batch holds.
import { EventKind, FinishCode, type NativeEngine, type StepEvents, type SubmitRequest } from '../native/addon.ts';
import type { Generation, Sequences } from './generation.ts';
import { EngineError, type GenerateRequest, type TokenLogprob } from './types.ts';

/** Where the next log-probabilities, their ids and the next message lie in a batch. */
interface Cursor {
  logprobs: number;
  topIds: number;
  errors: number;
}

/** Reads the 1 + count log-probabilities and count ids that an event owns; count -1 is a token without a probability. */
function readLogprob(events: StepEvents, cursor: Cursor, id: number, count: number): TokenLogprob {
  if (count < 0) return { id, logprob: null, top: [] };
  const top = [];
  for (let k = 0; k < count; k++) {
    top.push({ id: events.topIds[cursor.topIds + k] as number, logprob: events.logprobs[cursor.logprobs + 1 + k] as number });
  }
  return { id, logprob: events.logprobs[cursor.logprobs] as number, top };
}

export class LiveSequences implements Sequences {
  readonly #submitRequest: (request: GenerateRequest) => SubmitRequest;
  readonly #live = new Map<number, Generation>();
  #native: NativeEngine | null = null;
  #touched: Generation[] = [];

  constructor(submitRequest: (request: GenerateRequest) => SubmitRequest) {
    this.#submitRequest = submitRequest;
  }

  get size(): number {
    return this.#live.size;
  }

  /** Sequences can start from here on. */
  open(native: NativeEngine): void {
    this.#native = native;
  }

  /** No more sequences; those that run fail. */
  close(): void {
    this.#native = null;
    for (const generation of this.#live.values()) {
      generation.fail(new EngineError('The engine was closed before the sequence ended.'));
      generation.wake();
    }
    this.#live.clear();
  }

  start(generation: Generation): number {
    if (this.#native === null) throw new EngineError('The engine is closed; no sequence can start.');
    const id = submit(this.#native, this.#submitRequest(generation.request));
    this.#live.set(id, generation);
    return id;
  }

  cancel(id: number): void {
    this.#native?.cancel(id);
  }

  leave(id: number): void {
    this.#live.delete(id);
    this.cancel(id);
  }

  readonly onStep = (events: StepEvents): void => {
    const cursor: Cursor = { logprobs: 0, topIds: 0, errors: 0 };
    for (let i = 0; i < events.ids.length; i++) this.#route(events, i, cursor);
    const touched = this.#touched;
    this.#touched = [];
    for (const generation of touched) {
      generation.touched = false;
      generation.wake();
    }
  };

  /** Events of a sequence that is gone only move the cursor. */
  #route(events: StepEvents, i: number, cursor: Cursor): void {
    const id = events.ids[i] as number;
    const kind = events.kinds[i] as number;
    const a = events.a[i] as number;
    const b = events.b[i] as number;
    const generation = this.#live.get(id);
    if (generation !== undefined && !generation.touched) {
      generation.touched = true;
      this.#touched.push(generation);
    }
    if (kind === EventKind.Finish) {
      const message = a === FinishCode.Error ? (events.errors[cursor.errors++] as string) : '';
      this.#live.delete(id);
      generation?.onFinish(a, b, events.c[i] as number, message);
      return;
    }
    if (kind === EventKind.PromptToken) generation?.onPromptToken(readLogprob(events, cursor, a, b));
    else generation?.onToken(a, b < 0 ? null : readLogprob(events, cursor, a, b));
    if (b >= 0) {
      cursor.logprobs += 1 + b;
      cursor.topIds += b;
    }
  }
}

function submit(native: NativeEngine, request: SubmitRequest): number {
  try {
    return native.submit(request);
  } catch (error) {
    throw new EngineError(`The engine refused a sequence: ${error instanceof Error ? error.message : String(error)}`);
  }
}
