import type { GenerateRequest } from '../engine/types.ts';

/** A request that leaves the model's distribution as it is. */
export const plainRequest = (tokens: Uint32Array, maxTokens: number): GenerateRequest => ({
  tokens,
  maxTokens,
  minTokens: 0,
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
  seed: null,
  logprobs: null,
  promptLogprobs: null,
  logitBias: new Map(),
  stop: [],
  stopTokenIds: [],
  ignoreEos: false,
  salt: new Uint8Array(16),
});
