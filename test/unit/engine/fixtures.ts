// A greedy request and the options of an engine, to be overridden field by field.
import type { GenerateRequest } from '../../../src/engine/types.ts';
import type { EngineOptions } from '../../../src/native/addon.ts';

export const OPTIONS: EngineOptions = {
  model: '',
  device: 'cpu',
  dtype: 'auto',
  kvCacheDtype: 'auto',
  quantization: 'none',
  maxModelLen: 0,
  maxNumSeqs: 0,
  maxNumBatchedTokens: 0,
  blockSize: 0,
  kvCacheMemory: 0,
  threads: 0,
  gpuMemoryUtilization: 0,
  deterministic: false,
  enablePrefixCaching: true,
};

export const request = (fields: Partial<GenerateRequest> = {}): GenerateRequest => ({
  tokens: Uint32Array.of(0),
  maxTokens: 100,
  minTokens: 0,
  temperature: 0,
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
  ...fields,
});
