// A request's life between the HTTP layer and the native engine.
import type { EngineInfo, EngineStats } from '../native/addon.ts';
import type { ChatPrompt, Conversation, Prompt } from '../text/types.ts';

/** One choice of one request; every field is set (the wire's defaults are applied by openai/). */
export interface GenerateRequest {
  tokens: Uint32Array;
  /** 0 only with promptLogprobs. */
  maxTokens: number;
  minTokens: number;
  temperature: number;
  topK: number;
  topP: number;
  minP: number;
  presencePenalty: number;
  frequencyPenalty: number;
  repetitionPenalty: number;
  /** null: a fresh random seed. Choice i of n uses seed + i. */
  seed: bigint | null;
  /** null: none; k: the chosen token's and the k best (0..20). */
  logprobs: number | null;
  /** The same for the prompt's own tokens (echo with logprobs). */
  promptLogprobs: number | null;
  logitBias: ReadonlyMap<number, number>;
  /** Strings that end the text; never part of it. */
  stop: readonly string[];
  stopTokenIds: readonly number[];
  ignoreEos: boolean;
  /** Separates tenants in the prefix cache: 16 bytes derived from the API key. */
  salt: Uint8Array;
}

export interface TopLogprob {
  id: number;
  logprob: number;
}

export interface TokenLogprob {
  id: number;
  /** Natural logarithm, from the raw logits; null for the first prompt token. */
  logprob: number | null;
  top: TopLogprob[];
}

export interface Finish {
  reason: 'stop' | 'length';
  promptTokens: number;
  /** Tokens generated, a stop token included. */
  completionTokens: number;
  cachedTokens: number;
}

/** What one wake-up brought for one choice. The concatenation of `text` is the choice's text. */
export interface Delta {
  /** Whole UTF-8, and nothing that may still turn out to be a stop string. Can be empty. */
  text: string;
  /** Tokens whose text is out with this delta, if log-probabilities were asked for; tokens of a stop string are left out. */
  logprobs: TokenLogprob[];
  /** Prompt tokens' log-probabilities, all of them, once, on the first delta; only if promptLogprobs was asked for. */
  promptLogprobs: TokenLogprob[] | null;
  /** On the last delta only. */
  finish: Finish | null;
}

export interface TokenStarts {
  /** Code points of the text before the token's first character. */
  next(id: number): number;
}

/** The engine failed this request (not the user's mistake): 500. The text is for the log. */
export class EngineError extends Error {
  override name = 'EngineError';
}

export interface Engine {
  readonly info: EngineInfo;
  /** Bytes of the longest token. */
  readonly maxTokenBytes: number;
  /** Arranges, renders and encodes, this off the event loop. Throws TextError when there is no template or it refuses. */
  prepareChat(conversation: Conversation): Promise<ChatPrompt>;
  /** A raw completion prompt, with BOS where the checkpoint puts it unless addSpecial is false. */
  prepareText(text: string, addSpecial?: boolean): Promise<Prompt>;
  /** Text of ids as the detokeniser gives it (echo); control tokens are nothing, or their spelling. */
  decode(ids: Uint32Array, spellControl?: boolean): string;
  /** A token's own spelling and bytes, for logprobs. */
  spelling(id: number): string;
  bytes(id: number): Uint8Array;
  /** Of the text that follows `before`: give it the text's tokens in order. */
  tokenStarts(before: Uint32Array): TokenStarts;
  /** Ends with one delta that has `finish`, throws EngineError, or throws the signal's reason when aborted (the sequence is cancelled). */
  generate(request: GenerateRequest, signal: AbortSignal): AsyncIterable<Delta>;
  stats(): Promise<EngineStats>;
  close(): Promise<void>;
}
