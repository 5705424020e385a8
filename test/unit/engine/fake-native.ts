// A scripted native engine: a sequence's tokens come from a function, and its events from ticks that the test calls or that
// setImmediate does. It keeps the contract of src/native/addon.ts and nothing else.
import {
  type Addon,
  type EngineInfo,
  type EngineStats,
  EventKind,
  FinishCode,
  type NativeEngine,
  type StepEvents,
  type SubmitRequest,
} from '../../../src/native/addon.ts';

export interface FakeScript {
  /** The token that a sequence generates at a position (0 = the first after the prompt). */
  token: (request: SubmitRequest, position: number) => number;
  /** auto: one step for each turn of the event loop while anything runs. */
  auto?: boolean;
  info?: Partial<EngineInfo>;
  /** Prompt tokens that a sequence found in the prefix cache. */
  cachedTokens?: number;
  /** Steps that a sequence still runs after its cancellation, as when a step is in flight. */
  stepsAfterCancel?: number;
}

interface FakeSequence {
  id: number;
  request: SubmitRequest;
  numGenerated: number;
  prefilled: boolean;
  cancelled: boolean;
  stepsAfterCancel: number;
  /** The sequence fails with this at its next step. */
  failure: string | null;
}

const INFO: EngineInfo = {
  device: 'fake',
  unit: 'fake',
  architecture: 'LlamaForCausalLM',
  dtype: 'float32',
  kvCacheDtype: 'float32',
  quantization: 'none',
  threads: 1,
  vocabSize: 512,
  hiddenSize: 8,
  numLayers: 1,
  numHeads: 1,
  numKvHeads: 1,
  headDim: 8,
  maxModelLen: 4096,
  modelMaxLen: 4096,
  maxNumSeqs: 1024,
  maxNumBatchedTokens: 1024,
  blockSize: 16,
  numBlocks: 1024,
  weightBytes: 0,
  kvBytes: 0,
  kvBytesPerToken: 64,
  loadMilliseconds: 0,
};

/** Log-probability of a token: exact in float32, so that it can be compared with equality. */
export const fakeLogprob = (id: number): number => -(id + 1) / 16;

/** Collects a batch in the shape of StepEvents. */
class Batch {
  readonly #rows: { id: number; kind: number; a: number; b: number; c: number }[] = [];
  readonly #logprobs: number[] = [];
  readonly #topIds: number[] = [];
  readonly #errors: string[] = [];

  get size(): number {
    return this.#rows.length;
  }

  /** The k best of a token are the k ids that follow it. */
  token(sequence: FakeSequence, kind: number, token: number, k: number): void {
    this.#rows.push({ id: sequence.id, kind, a: token, b: k, c: 0 });
    if (k < 0) return;
    this.#logprobs.push(fakeLogprob(token));
    for (let id = token + 1; id <= token + k; id++) {
      this.#logprobs.push(fakeLogprob(id));
      this.#topIds.push(id);
    }
  }

  finish(sequence: FakeSequence, code: number, cachedTokens: number, stopToken = -1): void {
    this.#rows.push({ id: sequence.id, kind: EventKind.Finish, a: code, b: cachedTokens, c: stopToken });
    if (code === FinishCode.Error) this.#errors.push(sequence.failure ?? '');
  }

  events(): StepEvents {
    return {
      ids: Uint32Array.from(this.#rows, (row) => row.id),
      kinds: Uint8Array.from(this.#rows, (row) => row.kind),
      a: Int32Array.from(this.#rows, (row) => row.a),
      b: Int32Array.from(this.#rows, (row) => row.b),
      c: Int32Array.from(this.#rows, (row) => row.c),
      logprobs: Float32Array.from(this.#logprobs),
      topIds: Int32Array.from(this.#topIds),
      errors: this.#errors,
    };
  }
}

export class FakeNative implements NativeEngine {
  readonly info: EngineInfo;
  /** Everything ever submitted and cancelled, in order; entry k of the first is sequence k + 1. */
  readonly submitted: SubmitRequest[] = [];
  readonly cancelled: number[] = [];
  closed = false;
  numSteps = 0;

  readonly #script: FakeScript;
  readonly #onStep: (events: StepEvents) => void;
  readonly #running = new Map<number, FakeSequence>();
  #scheduled = false;
  #numPrompt = 0;
  #numGenerated = 0;

  constructor(script: FakeScript, onStep: (events: StepEvents) => void) {
    this.info = { ...INFO, ...script.info };
    this.#script = script;
    this.#onStep = onStep;
  }

  get numRunning(): number {
    return this.#running.size;
  }

  submit(request: SubmitRequest): number {
    if (this.closed) throw new Error('The engine is closed.');
    if (request.tokens.length === 0) throw new Error('A prompt needs at least one token.');
    const id = this.submitted.push({ ...request, tokens: request.tokens.slice() });
    const { stepsAfterCancel = 0 } = this.#script;
    this.#running.set(id, {
      id,
      request,
      numGenerated: 0,
      prefilled: false,
      cancelled: false,
      stepsAfterCancel,
      failure: null,
    });
    this.#schedule();
    return id;
  }

  cancel(id: number): void {
    this.cancelled.push(id);
    const sequence = this.#running.get(id);
    if (sequence !== undefined) sequence.cancelled = true;
  }

  mask(): void {}

  /** One block for each sequence that runs. */
  async stats(): Promise<EngineStats> {
    const { numBlocks } = this.info;
    return {
      running: this.#running.size,
      waiting: 0,
      freeBlocks: numBlocks - this.#running.size,
      numBlocks,
      steps: this.numSteps,
      preemptions: 0,
      promptTokens: this.#numPrompt,
      cachedTokens: 0,
      generatedTokens: this.#numGenerated,
    };
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    const batch = new Batch();
    for (const sequence of this.#running.values()) batch.finish(sequence, FinishCode.Cancelled, 0);
    this.#running.clear();
    this.#emit(batch);
  }

  /** The sequence ends with an error at its next step. */
  fail(id: number, message: string): void {
    const sequence = this.#running.get(id);
    if (sequence === undefined) throw new Error(`Sequence ${id} does not run.`);
    sequence.failure = message;
  }

  /** Runs `steps` steps of every sequence; JavaScript is woken once with all of their events. */
  tick(steps = 1): void {
    const batch = new Batch();
    for (let k = 0; k < steps; k++) {
      this.numSteps++;
      for (const sequence of this.#running.values()) this.#step(sequence, batch);
    }
    this.#emit(batch);
  }

  #step(sequence: FakeSequence, batch: Batch): void {
    if (sequence.failure !== null) this.#finish(sequence, batch, FinishCode.Error);
    else if (sequence.cancelled && sequence.stepsAfterCancel-- === 0) this.#finish(sequence, batch, FinishCode.Cancelled);
    else this.#generate(sequence, batch);
  }

  #generate(sequence: FakeSequence, batch: Batch): void {
    const { request } = sequence;
    if (!sequence.prefilled) this.#prefill(sequence, batch);
    if (request.maxTokens > 0) {
      const token = this.#script.token(request, sequence.numGenerated++);
      this.#numGenerated++;
      if (sequence.numGenerated > request.minTokens && request.stopTokenIds.includes(token)) {
        this.#finish(sequence, batch, FinishCode.Stop, token);
        return;
      }
      batch.token(sequence, EventKind.Token, token, request.logprobs);
    }
    if (sequence.numGenerated >= request.maxTokens) this.#finish(sequence, batch, FinishCode.Length);
  }

  #prefill(sequence: FakeSequence, batch: Batch): void {
    sequence.prefilled = true;
    const { tokens, promptLogprobs } = sequence.request;
    this.#numPrompt += tokens.length;
    if (promptLogprobs < 0) return;
    tokens.forEach((token, k) => {
      batch.token(sequence, EventKind.PromptToken, token, k === 0 ? -1 : promptLogprobs);
    });
  }

  #finish(sequence: FakeSequence, batch: Batch, code: number, stopToken = -1): void {
    this.#running.delete(sequence.id);
    batch.finish(sequence, code, this.#script.cachedTokens ?? 0, stopToken);
  }

  #emit(batch: Batch): void {
    if (batch.size > 0) this.#onStep(batch.events());
  }

  #schedule(): void {
    if (this.#script.auto !== true || this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.closed) return;
      this.tick();
      if (this.#running.size > 0) this.#schedule();
    });
  }
}

export interface FakeAddon extends Addon {
  /** The engine that createEngine made last. */
  native(): FakeNative;
}

export function fakeAddon(script: FakeScript): FakeAddon {
  let native: FakeNative | null = null;
  return {
    async createEngine(_options, onStep, onProgress) {
      onProgress({ stage: 'weights', done: 1, total: 1 });
      native = new FakeNative(script, onStep);
      return native;
    },
    async synth() {
      throw new Error('The fake engine writes no models.');
    },
    native() {
      if (native === null) throw new Error('No engine has been created yet.');
      return native;
    },
  };
}
