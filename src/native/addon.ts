// The typed contract of the .node file, and the only place that loads it.
// TypeScript validates and names every mistake before it calls; C++ checks again what could touch memory and throws Error.
import { createRequire } from 'node:module';

export type DTypeName = 'auto' | 'float32' | 'bfloat16' | 'float16';

/** What dense weights become at load: integers in groups of 32, or 128 where it says so. */
export type QuantizationName = 'none' | 'int8' | 'int4' | 'int4-g128';

/** Everything decided at construction. Sizes are bytes, lengths are tokens, 0 means "choose for me". */
export interface EngineOptions {
  /** Folder of a Hugging Face model; ignored when `fake` is given. */
  model: string;
  device: 'auto' | 'cpu' | 'cuda';
  dtype: DTypeName;
  /** int8, with a scale for each token of a head: on the CPU. */
  kvCacheDtype: DTypeName | 'int8';
  quantization: QuantizationName;
  maxModelLen: number;
  maxNumSeqs: number;
  maxNumBatchedTokens: number;
  blockSize: number;
  kvCacheMemory: number;
  threads: number;
  /** Share of a GPU's memory, in (0, 1]. */
  gpuMemoryUtilization: number;
  /** Of a GPU: results that do not depend on the batch; a CPU's never do. */
  deterministic: boolean;
  enablePrefixCaching: boolean;
  /** A model without weights whose step takes a fixed time and whose tokens are a pure function of the input: benches and tests. */
  fake?: { vocabSize: number; stepMicroseconds: number; maxModelLen: number; asynchronous: boolean };
}

/** The memory plan and what the model is; fixed for the engine's life. */
export interface EngineInfo {
  device: string;
  /** What computes: amx, avx512vnni, avx512, avx2, neon, plain, or a GPU's name. */
  unit: string;
  architecture: string;
  dtype: string;
  kvCacheDtype: string;
  /** What weights went through at load, not what the file had done to them. */
  quantization: string;
  threads: number;
  vocabSize: number;
  hiddenSize: number;
  numLayers: number;
  numHeads: number;
  numKvHeads: number;
  headDim: number;
  /** What requests may use (prompt + completion), and what the checkpoint was made for. */
  maxModelLen: number;
  modelMaxLen: number;
  maxNumSeqs: number;
  maxNumBatchedTokens: number;
  blockSize: number;
  numBlocks: number;
  weightBytes: number;
  kvBytes: number;
  kvBytesPerToken: number;
  loadMilliseconds: number;
}

/** One sequence. Arrays are copied during the call. */
export interface SubmitRequest {
  /** [n] prompt ids, n >= 1, each < vocabSize. */
  tokens: Uint32Array;
  /** New tokens at most; 0 only together with promptLogprobs >= 0. */
  maxTokens: number;
  minTokens: number;
  /** 0 is greedy. */
  temperature: number;
  /** 0 is off. */
  topK: number;
  /** 1 is off. */
  topP: number;
  /** 0 is off. */
  minP: number;
  presencePenalty: number;
  frequencyPenalty: number;
  /** 1 is off. */
  repetitionPenalty: number;
  /** Key of the counter-based generator, 64 bits. */
  seed: bigint;
  /** -1: none; k: the chosen token's log-probability and the k best (k <= 20). */
  logprobs: number;
  /** The same for the prompt's tokens; such a sequence reads no prefix-cache hits. */
  promptLogprobs: number;
  /** Parallel: logit_bias. */
  biasIds: Uint32Array;
  biasValues: Float32Array;
  /** Ids that end the sequence (end-of-sequence ids included, unless ignore_eos); at most 64. */
  stopTokenIds: Uint32Array;
  /** 16 bytes; prefix-cache blocks are shared only between sequences of equal salt. */
  salt: Uint8Array;
  /** Each token waits for mask(id, position). */
  constrained: boolean;
}

export const EventKind = { Token: 0, PromptToken: 1, Finish: 2 } as const;
export const FinishCode = { Stop: 0, Length: 1, Cancelled: 2, Error: 3 } as const;

/**
 * One wake-up's events, in order; parallel arrays of n entries.
 *   Token        a = token id,                b = number of top entries, or -1 without log-probabilities
 *   PromptToken  a = prompt token id,         b = the same (the first prompt token has b = -1: it has no probability)
 *   Finish       a = FinishCode,              b = prompt tokens that came from the prefix cache
 *                c = the stop token that ended it, or -1 (a stop token is not reported as Token)
 * Entries with b >= 0 of the first two kinds own the next 1 + b of `logprobs` (the token's own, then the top ones) and the
 * next b of `topIds`. A Finish with FinishCode.Error owns the next of `errors`.
 */
export interface StepEvents {
  ids: Uint32Array;
  kinds: Uint8Array;
  a: Int32Array;
  b: Int32Array;
  c: Int32Array;
  logprobs: Float32Array;
  topIds: Int32Array;
  errors: string[];
}

/** Answered by the loop thread itself, between two steps: an answer proves that the loop lives. */
export interface EngineStats {
  running: number;
  waiting: number;
  freeBlocks: number;
  numBlocks: number;
  steps: number;
  preemptions: number;
  /** Prompt tokens computed, prompt tokens taken from the prefix cache, tokens generated, since the start. */
  promptTokens: number;
  cachedTokens: number;
  generatedTokens: number;
}

export interface NativeEngine {
  readonly info: EngineInfo;
  /** Returns the sequence id (never reused). Throws on what could touch memory, after close, or when the loop has broken down. */
  submit(request: SubmitRequest): number;
  /** Idempotent; unknown and finished ids are ignored. A Finish event with FinishCode.Cancelled follows if it still ran. */
  cancel(id: number): void;
  /** bits: [ceil(vocabSize / 32)], bit t of word t / 32 set = token t allowed at this position (index in prompt + generated). */
  mask(id: number, position: number, bits: Uint32Array): void;
  /** Rejects after close, or when the loop has broken down. */
  stats(): Promise<EngineStats>;
  /**
   * Ends every sequence as cancelled, joins the loop thread, frees the weights. Idempotent. An engine that is never closed keeps
   * its memory; it keeps the process alive only while a sequence runs or a stats() is unanswered.
   */
  close(): Promise<void>;
}

export interface Progress {
  /** What is being done, for example "weights". */
  stage: string;
  done: number;
  total: number;
}

export interface SynthOptions {
  /** A config.json text of the model to write. */
  config: string;
  out: string;
  seed: number;
}

export interface Addon {
  /** Loads off the JavaScript thread. onStep is called on it, once per wake-up, with everything since the last call; what it throws is an uncaught exception. */
  createEngine(
    options: EngineOptions,
    onStep: (events: StepEvents) => void,
    onProgress: (progress: Progress) => void,
  ): Promise<NativeEngine>;
  /** Writes a folder of random weights in Hugging Face format; resolves to the bytes written. */
  synth(options: SynthOptions, onProgress: (progress: Progress) => void): Promise<number>;
}

/**
 * A metadata value of a GGUF file. An integer is a number, or a bigint past 2^53 on either side; an array is a typed array of its
 * element's size (bools a Uint8Array of 0 and 1) or, of strings, string[]. Bytes that are not UTF-8 become U+FFFD.
 */
export type GgufValue =
  | number
  | bigint
  | boolean
  | string
  | string[]
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | BigUint64Array
  | BigInt64Array
  | Float32Array
  | Float64Array;

export interface GgufTensor {
  name: string;
  /** ggml's name: F32, BF16, Q4_K, ..; types that cannot be served, as IQ4_XS, included. */
  type: string;
  /** Rows first, as Hugging Face writes it; the file's own order is the reverse. */
  shape: number[];
  /** In the file. */
  bytes: number;
}

export interface GgufFile {
  version: number;
  /** In file order, without a prototype: `metadata['toString']` is undefined unless the file has it. */
  metadata: Record<string, GgufValue>;
  /** In file order. */
  tensors: GgufTensor[];
}

export interface GgufReader {
  /** One file (of a split model: that part), mapped: tensors' data is not read. Throws one sentence on what is not GGUF, or damaged. */
  readGguf(path: string): GgufFile;
}

/** Of a written GGUF file's matrices; auto: as stored. */
export type ConvertType = 'auto' | 'f32' | 'f16' | 'bf16' | 'q8_0' | 'q4_0';

export interface Planner {
  /** The info of an engine that is not loaded: no weight is read, weightBytes is an estimate, loadMilliseconds 0. Throws what createEngine rejects with. */
  planModel(options: EngineOptions): EngineInfo;
}

export interface ConvertOptions {
  /** Folder of a Hugging Face model. */
  folder: string;
  /** The file to write; it must not be there. */
  out: string;
  type: ConvertType;
  /** Serialised metadata beside what the tensors and config.json say: name, vocabulary, chat template. */
  fields: Uint8Array;
  numFields: number;
}

export interface GgufWriter {
  /** Writes a GGUF file; resolves to its size. */
  convert(options: ConvertOptions, onProgress: (progress: Progress) => void): Promise<number>;
}

export interface QuantizeOptions {
  /** Folder of a Hugging Face model of plain weights. */
  folder: string;
  /** A folder without config.json; shards that it holds already are kept. */
  out: string;
  quantization: Exclude<QuantizationName, 'none'>;
}

export interface QuantizedWeights {
  bytes: number;
  /** Shards that were there. */
  numKept: number;
  /** Packed now: sqrt(sum (w - w')^2 / sum w^2) of each. */
  tensors: { name: string; error: number }[];
}

export interface Quantizer {
  /** Writes weights as packed integers of GPTQ: shards and their index. */
  quantize(options: QuantizeOptions, onProgress: (progress: Progress) => void): Promise<QuantizedWeights>;
}

export type NativeAddon = Addon & GgufReader & Planner & GgufWriter & Quantizer;

/** Built by CMake into build/; found from src/native (tsx, vitest) and from dist/src/native alike. */
export function loadAddon(): NativeAddon {
  const require = createRequire(import.meta.url);
  const tried: string[] = [];
  for (const up of ['../../', '../../../']) {
    const file = `${up}build/Release/gattling.node`;
    try {
      return require(file) as NativeAddon;
    } catch (error) {
      tried.push(error instanceof Error ? (error.message.split('\n')[0] ?? file) : file);
    }
  }
  throw new Error(`The native addon is not built or cannot be loaded. Run "npm run build:native". (${tried.join('; ')})`);
}
