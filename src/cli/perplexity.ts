// How well a model foresees a text: what quantising it costs.
import { join } from 'node:path';
import { createEngine } from '../engine/engine.ts';
import { readObject } from '../models/read.ts';
import type { Addon, EngineOptions } from '../native/addon.ts';
import { loadTokenizer } from '../text/tokenizer.ts';
import { plainRequest } from './plain-request.ts';

/** Tokens of the text that a model sees at once. */
const WINDOW = 512;

const OPTIONS: Omit<EngineOptions, 'model' | 'maxModelLen'> = {
  device: 'auto',
  dtype: 'auto',
  kvCacheDtype: 'auto',
  quantization: 'none',
  maxNumSeqs: 8,
  maxNumBatchedTokens: 512,
  blockSize: 16,
  kvCacheMemory: 0,
  threads: 0,
  gpuMemoryUtilization: 0.9,
  deterministic: false,
  enablePrefixCaching: false,
};

/** exp of the mean negative log-probability of the text's tokens, in windows that each begin with BOS where the model has one. */
export async function perplexity(folder: string, text: string, addon: Addon): Promise<number> {
  const tokenizer = await loadTokenizer(folder);
  const { max_position_embeddings: longest } = await readObject(join(folder, 'config.json'));
  const size = typeof longest === 'number' ? Math.max(2, Math.min(WINDOW, longest)) : WINDOW;
  const ids = [...(await tokenizer.encode(text, false))];
  const start = tokenizer.bosId === null ? [] : [tokenizer.bosId];
  // One token without a BOS before it has no probability.
  if (start.length + ids.length < 2) throw new Error('The text has too few tokens to be scored; give a longer one.');
  const options = { ...OPTIONS, model: folder, maxModelLen: size };
  const engine = await createEngine({ addon, options, tokenizer, template: null, eosTokenIds: [], onProgress: () => {} });
  try {
    let [sum, tokens] = [0, 0];
    for (let at = 0; at < ids.length; at += size - start.length) {
      const window = Uint32Array.from([...start, ...ids.slice(at, at + size - start.length)]);
      const request = { ...plainRequest(window, 0), promptLogprobs: 0 };
      for await (const { promptLogprobs } of engine.generate(request, new AbortController().signal)) {
        for (const { logprob } of promptLogprobs ?? []) {
          if (logprob === null) continue;
          sum += logprob;
          tokens++;
        }
      }
    }
    return Math.exp(-sum / tokens);
  } finally {
    await engine.close();
  }
}
