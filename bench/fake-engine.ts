// Engine options of a model without weights: what benches run when the model is not the subject.
import type { EngineOptions } from '../src/native/addon.ts';

export function fakeEngineOptions(fake: NonNullable<EngineOptions['fake']>): EngineOptions {
  return {
    model: '',
    device: 'cpu',
    dtype: 'auto',
    kvCacheDtype: 'auto',
    maxModelLen: 0,
    maxNumSeqs: 256,
    maxNumBatchedTokens: 0,
    blockSize: 0,
    kvCacheMemory: 0,
    threads: 0,
    enablePrefixCaching: true,
    fake,
  };
}
