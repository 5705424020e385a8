// A deterministic engine in memory: tokens are UTF-8 bytes, and the answer is a function of the prompt and the seed.
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  type Delta,
  type Engine,
  EngineError,
  type GenerateRequest,
  type TokenLogprob,
  type TokenStarts,
} from '../../src/engine/types.ts';
import type { EngineInfo, EngineStats } from '../../src/native/addon.ts';
import { type ChatPrompt, type Conversation, type Prompt, TextError } from '../../src/text/types.ts';

export const bos = 256;
export const eos = 257;
export const vocabSize = 258;

export interface FakeOptions {
  maxModelLen?: number;
  /** Whether a text prompt starts with BOS. */
  addBos?: boolean;
  reply?: (prompt: string, seed: bigint | null) => string;
  /** Awaited before each token; the default is one turn of the event loop. */
  pace?: (step: number, request: GenerateRequest) => Promise<unknown>;
  /** Fails after that many tokens. */
  failAfter?: number;
  stats?: () => Promise<EngineStats>;
}

const encoder = new TextEncoder();

export class FakeEngine implements Engine {
  readonly info: EngineInfo;
  /** Of one that no prompt has: prompts over the context are encoded up to four times its length. */
  readonly maxTokenBytes = 4;
  readonly requests: GenerateRequest[] = [];
  readonly conversations: Conversation[] = [];
  running = 0;
  aborted = 0;
  readonly #options: FakeOptions;

  constructor(options: FakeOptions = {}) {
    this.#options = options;
    this.info = { ...info, maxModelLen: options.maxModelLen ?? 256 };
  }

  async prepareChat(conversation: Conversation): Promise<ChatPrompt> {
    this.conversations.push(conversation);
    if (conversation.messages.some(({ content }) => content === 'refuse me'))
      throw new TextError('The template refuses this conversation.');
    const lines = conversation.messages.map(({ role, content }) => `${role}: ${content}\n`);
    const text = lines.join('');
    const turns = conversation.messages.map(({ role }, m) => ({ role, messages: [m] }));
    const ids = Uint32Array.from([bos, ...encoder.encode(text)]);
    return { ids, spans: [], text, turns, dropped: { messages: 0, tokens: 0 } };
  }

  async prepareText(text: string, addSpecial = true): Promise<Prompt> {
    const start = addSpecial && (this.#options.addBos ?? true) ? [bos] : [];
    return { ids: Uint32Array.from([...start, ...encoder.encode(text)]), spans: [] };
  }

  decode(ids: Uint32Array, spellControl = false): string {
    const bytes = [...ids].flatMap((id) => (id < 256 ? [id] : spellControl ? [...encoder.encode(this.spelling(id))] : []));
    return Buffer.from(bytes).toString('utf8');
  }

  spelling(id: number): string {
    return id === bos ? '<s>' : id === eos ? '</s>' : Buffer.from([id]).toString('utf8');
  }

  bytes(id: number): Uint8Array {
    return id < 256 ? Uint8Array.of(id) : new Uint8Array();
  }

  tokenStarts(): TokenStarts {
    let numCharacters = 0;
    return {
      next: (id) => {
        if (id < 256 && (id & 0xc0) === 0x80) return numCharacters - 1;
        return id < 256 ? numCharacters++ : numCharacters;
      },
    };
  }

  async *generate(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<Delta> {
    this.requests.push(request);
    this.running++;
    try {
      yield* this.#deltas(request, signal);
    } catch (error) {
      if (signal.aborted) this.aborted++;
      throw error;
    } finally {
      this.running--;
    }
  }

  async *#deltas(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<Delta> {
    const { ids, text, stopped } = this.#plan(request);
    let promptLogprobs = request.promptLogprobs === null ? null : scores([...request.tokens], request.promptLogprobs);
    if (promptLogprobs?.[0]) promptLogprobs[0] = { ...promptLogprobs[0], logprob: null, top: [] };
    let shown = 0;
    let sent = 0;
    for (let step = 1; step <= ids.length; step++) {
      await abortable((this.#options.pace ?? (() => nextTurn()))(step, request), signal);
      if (step > (this.#options.failAfter ?? Number.POSITIVE_INFINITY)) throw new EngineError('secret detail at 0xdeadbeef');
      const whole = Math.min(wholeCharacters(ids.subarray(0, step)), text.length);
      if (step === ids.length || (whole === shown && promptLogprobs === null)) continue;
      const logprobs = request.logprobs === null ? [] : scores([...ids.subarray(shown, whole)], request.logprobs);
      yield { text: text.subarray(shown, whole).toString('utf8'), logprobs, promptLogprobs, finish: null };
      shown = whole;
      sent = step;
      promptLogprobs = null;
    }
    const last = [...text.subarray(shown)];
    const cachedTokens = Math.floor(request.tokens.length / 16) * 16;
    yield {
      text: text.subarray(shown).toString('utf8'),
      logprobs: request.logprobs === null || sent === ids.length ? [] : scores(last, request.logprobs),
      promptLogprobs,
      finish: {
        reason: stopped ? 'stop' : 'length',
        promptTokens: request.tokens.length,
        completionTokens: ids.length,
        cachedTokens,
      },
    };
  }

  /** All tokens (a final EOS or stop string included), the bytes that are shown, and why it ended. */
  #plan(request: GenerateRequest): { ids: Buffer; text: Buffer; stopped: boolean } {
    const reply = this.#options.reply ?? ((prompt, seed) => `(${seed ?? 'no seed'}) ${prompt}`);
    const answer = Buffer.from(reply(this.decode(request.tokens), request.seed));
    const full = request.ignoreEos ? Buffer.concat([answer, Buffer.alloc(request.maxTokens, '.')]) : answer;
    const ends = request.stop
      .map((stop) => ({ at: full.indexOf(stop), length: Buffer.byteLength(stop) }))
      .filter(({ at }) => at >= 0);
    const ids = request.stopTokenIds.map((id) => ({ at: full.indexOf(id), length: 1 })).filter(({ at }) => at >= 0);
    const end = [...ends, ...ids].sort((a, b) => a.at - b.at)[0] ?? { at: full.length, length: 1 };
    const stopped = end.at + end.length <= request.maxTokens;
    const tokens = Buffer.concat([full, Buffer.alloc(1)]).subarray(0, Math.min(end.at + end.length, request.maxTokens));
    const text = tokens.subarray(0, stopped ? end.at : tokens.length);
    return { ids: tokens, text: text.subarray(0, wholeCharacters(text)), stopped };
  }

  async stats(): Promise<EngineStats> {
    return (this.#options.stats ?? (async () => stats))();
  }

  async close(): Promise<void> {}
}

/** Token z is impossible, to see what a log-probability of minus infinity becomes. */
const logprobOf = (id: number) => (id === 0x7a ? Number.NEGATIVE_INFINITY : -(id % 7) - 0.5);

function scores(ids: number[], k: number): TokenLogprob[] {
  return ids.map((id) => ({
    id,
    logprob: logprobOf(id),
    top: Array.from({ length: k }, (_, rank) => ({ id: (id + rank) % 256, logprob: -0.25 - rank })),
  }));
}

/** Length of the longest prefix that ends between two characters. */
function wholeCharacters(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(4, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    return length > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}

function abortable(work: Promise<unknown>, signal: AbortSignal): Promise<unknown> {
  if (signal.aborted) return Promise.reject(signal.reason);
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

const stats: EngineStats = {
  running: 0,
  waiting: 0,
  freeBlocks: 16,
  numBlocks: 16,
  steps: 1,
  preemptions: 0,
  promptTokens: 0,
  cachedTokens: 0,
  generatedTokens: 0,
};

const info: EngineInfo = {
  device: 'fake',
  unit: 'fake',
  architecture: 'FakeForCausalLM',
  dtype: 'float32',
  kvCacheDtype: 'float32',
  quantization: 'none',
  threads: 1,
  vocabSize,
  hiddenSize: 1,
  numLayers: 1,
  numHeads: 1,
  numKvHeads: 1,
  headDim: 1,
  maxModelLen: 256,
  modelMaxLen: 256,
  maxNumSeqs: 16,
  maxNumBatchedTokens: 256,
  blockSize: 16,
  numBlocks: 16,
  weightBytes: 1,
  kvBytes: 1,
  kvBytesPerToken: 1,
  loadMilliseconds: 1,
};
