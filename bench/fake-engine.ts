// A model without weights and a plain greedy sequence: what runs when the model is not the subject.
import type { EngineOptions, SubmitRequest } from '../src/native/addon.ts';

export function fakeEngineOptions(fake: NonNullable<EngineOptions['fake']>): EngineOptions {
  return {
    model: '',
    device: 'cpu',
    dtype: 'auto',
    kvCacheDtype: 'auto',
    quantization: 'none',
    maxModelLen: 0,
    maxNumSeqs: 256,
    maxNumBatchedTokens: 0,
    blockSize: 0,
    kvCacheMemory: 0,
    threads: 0,
    gpuMemoryUtilization: 0,
    deterministic: false,
    enablePrefixCaching: true,
    fake,
  };
}

export function greedySequence(maxTokens: number, fields: Partial<SubmitRequest> = {}): SubmitRequest {
  return {
    tokens: Uint32Array.of(1, 2, 3),
    maxTokens,
    minTokens: 0,
    temperature: 0,
    topK: 0,
    topP: 1,
    minP: 0,
    presencePenalty: 0,
    frequencyPenalty: 0,
    repetitionPenalty: 1,
    seed: 1n,
    logprobs: -1,
    promptLogprobs: -1,
    biasIds: new Uint32Array(),
    biasValues: new Float32Array(),
    stopTokenIds: new Uint32Array(),
    salt: new Uint8Array(16),
    constrained: false,
    ...fields,
  };
}
