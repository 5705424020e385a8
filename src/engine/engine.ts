// A request's life between the HTTP layer and the native engine: tokens down, deltas up.
import { randomBytes } from 'node:crypto';
import type { Addon, EngineInfo, EngineOptions, EngineStats, NativeEngine, Progress, SubmitRequest } from '../native/addon.ts';
import { noChatTemplate } from '../text/chat-template.ts';
import { encodeChat } from '../text/prompt.ts';
import {
  type ChatPrompt,
  type ChatTemplate,
  type Conversation,
  type Prompt,
  TextError,
  type Tokenizer,
} from '../text/types.ts';
import { Completion } from './completion.ts';
import { DetokenizedStarts, Detokenizer, decode, isTextless, Pieces } from './detokenizer.ts';
import { Generation } from './generation.ts';
import { LiveSequences } from './sequences.ts';
import type { Delta, Engine, GenerateRequest, TokenStarts } from './types.ts';

export interface EngineSetup {
  addon: Addon;
  options: EngineOptions;
  tokenizer: Tokenizer;
  /** null: the model has none, and chat is refused. */
  template: ChatTemplate | null;
  /** Ids that end a sequence unless the request ignores them. */
  eosTokenIds: readonly number[];
  onProgress: (progress: Progress) => void;
}

export async function createEngine(setup: EngineSetup): Promise<TextEngine> {
  // What the model has no row for it never gives.
  const eosTokenIds = () => setup.eosTokenIds.filter((id) => id < native.info.vocabSize);
  const sequences = new LiveSequences((request) => submitRequest(request, eosTokenIds()));
  const native = await setup.addon.createEngine(setup.options, sequences.onStep, setup.onProgress);
  sequences.open(native);
  return new TextEngine(native, sequences, setup.tokenizer, setup.template);
}

function submitRequest(request: GenerateRequest, eosTokenIds: readonly number[]): SubmitRequest {
  const eos = request.ignoreEos ? [] : eosTokenIds;
  return {
    tokens: request.tokens,
    maxTokens: request.maxTokens,
    minTokens: request.minTokens,
    temperature: request.temperature,
    topK: request.topK,
    topP: request.topP,
    minP: request.minP,
    presencePenalty: request.presencePenalty,
    frequencyPenalty: request.frequencyPenalty,
    repetitionPenalty: request.repetitionPenalty,
    seed: request.seed === null ? randomBytes(8).readBigUInt64LE() : BigInt.asUintN(64, request.seed),
    logprobs: request.logprobs ?? -1,
    promptLogprobs: request.promptLogprobs ?? -1,
    biasIds: Uint32Array.from(request.logitBias.keys()),
    biasValues: Float32Array.from(request.logitBias.values()),
    stopTokenIds: Uint32Array.from(new Set([...request.stopTokenIds, ...eos])),
    salt: request.salt,
    constrained: false,
  };
}

export class TextEngine implements Engine {
  readonly info: EngineInfo;
  readonly maxTokenBytes: number;
  readonly #native: NativeEngine;
  readonly #sequences: LiveSequences;
  readonly #tokenizer: Tokenizer;
  readonly #template: ChatTemplate | null;
  readonly #pieces: Pieces;

  constructor(native: NativeEngine, sequences: LiveSequences, tokenizer: Tokenizer, template: ChatTemplate | null) {
    this.info = native.info;
    this.#native = native;
    this.#sequences = sequences;
    this.#tokenizer = tokenizer;
    this.#template = template;
    this.#pieces = new Pieces(tokenizer);
    this.maxTokenBytes = maxTokenBytes(tokenizer);
  }

  /** Sequences whose events are routed. */
  get numLive(): number {
    return this.#sequences.size;
  }

  async prepareChat(conversation: Conversation): Promise<ChatPrompt> {
    if (this.#template === null) throw noChatTemplate();
    const { info, maxTokenBytes } = this;
    const bounds = { maxModelLen: info.maxModelLen, maxTokenBytes };
    const chat = await encodeChat(this.#tokenizer, this.#template, conversation, bounds);
    this.#checkKnown(chat.ids);
    return chat;
  }

  async prepareText(text: string, addSpecial = true): Promise<Prompt> {
    const ids = await this.#tokenizer.encode(text, addSpecial);
    this.#checkKnown(ids);
    return { ids, spans: [{ start: 0, end: ids.length, message: 0, textEnd: text.length }] };
  }

  /** A tokenizer may have more tokens than the model has embeddings. */
  #checkKnown(ids: Uint32Array): void {
    const { vocabSize } = this.info;
    const stranger = ids.find((id) => id >= vocabSize);
    if (stranger === undefined) return;
    const token = JSON.stringify(this.#tokenizer.spelling(stranger));
    throw new TextError(`The prompt has token ${stranger} (${token}), which the model lacks: it has ${vocabSize} embeddings.`);
  }

  decode(ids: Uint32Array, spellControl = false): string {
    return decode(ids, this.#pieces, spellControl);
  }

  spelling(id: number): string {
    return this.#tokenizer.spelling(id);
  }

  bytes(id: number): Uint8Array {
    return this.#tokenizer.bytes(id);
  }

  tokenStarts(before: Uint32Array): TokenStarts {
    return new DetokenizedStarts(this.#detokenizer(before));
  }

  /** The sequence is submitted when the first delta is asked for. */
  generate(request: GenerateRequest, signal: AbortSignal): AsyncIterable<Delta> {
    const detokenizer = this.#detokenizer(request.tokens);
    const { stop, minTokens } = request;
    const completion = new Completion(detokenizer, { stop, minTokens, logprobs: request.logprobs !== null });
    return new Generation(request, completion, this.#sequences, signal);
  }

  #detokenizer(before: Uint32Array): Detokenizer {
    return new Detokenizer(this.#pieces, isTextless(before, this.#tokenizer));
  }

  stats(): Promise<EngineStats> {
    return this.#native.stats();
  }

  async close(): Promise<void> {
    this.#sequences.close();
    await this.#native.close();
  }
}

function maxTokenBytes(tokenizer: Tokenizer): number {
  let most = 1;
  for (let id = 0; id < tokenizer.vocabSize; id++) most = Math.max(most, tokenizer.bytes(id).length);
  return most;
}
