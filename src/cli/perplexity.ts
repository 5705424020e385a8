// How well a model foresees a text: what quantising it costs.
import { join } from 'node:path';
import { readObject } from '../models/read.ts';
import { type Addon, type EngineOptions, EventKind, FinishCode, type StepEvents, type SubmitRequest } from '../native/addon.ts';
import { loadTokenizer } from '../text/tokenizer.ts';

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

/** A prompt whose tokens are scored, and nothing after it. */
const scored = (tokens: readonly number[]): SubmitRequest => ({
  tokens: Uint32Array.from(tokens),
  maxTokens: 0,
  minTokens: 0,
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
  seed: 0n,
  logprobs: -1,
  promptLogprobs: 0,
  biasIds: new Uint32Array(),
  biasValues: new Float32Array(),
  stopTokenIds: new Uint32Array(),
  salt: new Uint8Array(16),
  constrained: false,
});

/** exp of the mean negative log-probability of the text's tokens, in windows that each begin with BOS where the model has one. */
export async function perplexity(folder: string, text: string, addon: Addon): Promise<number> {
  const tokenizer = await loadTokenizer(folder);
  const { max_position_embeddings: longest } = await readObject(join(folder, 'config.json'));
  const size = typeof longest === 'number' ? Math.max(2, Math.min(WINDOW, longest)) : WINDOW;
  const ids = [...(await tokenizer.encode(text, false))];
  const start = tokenizer.bosId === null ? [] : [tokenizer.bosId];
  const windows: number[][] = [];
  for (let at = 0; at < ids.length; at += size - start.length)
    windows.push([...start, ...ids.slice(at, at + size - start.length)]);
  // One token without a BOS before it has no probability.
  if (start.length + ids.length < 2) throw new Error('The text has too few tokens to be scored; give a longer one.');
  const { sum, tokens } = await scores(addon, { ...OPTIONS, model: folder, maxModelLen: size }, windows);
  return Math.exp(-sum / tokens);
}

async function scores(addon: Addon, options: EngineOptions, windows: readonly (readonly number[])[]) {
  const total = { sum: 0, tokens: 0 };
  let left = windows.length;
  let settle: (error?: Error) => void = () => {};
  const finished = new Promise<void>((resolve, reject) => {
    settle = (error) => (error ? reject(error) : resolve());
  });
  const onStep = ({ kinds, a, b, logprobs, errors }: StepEvents) => {
    let at = 0;
    for (let i = 0; i < kinds.length; i++) {
      if (kinds[i] === EventKind.Finish) {
        if (a[i] === FinishCode.Error) settle(new Error(errors[0]));
        else if (--left === 0) settle();
        continue;
      }
      if ((b[i] ?? -1) < 0) continue;
      total.sum += logprobs[at] ?? 0;
      total.tokens++;
      at += 1 + (b[i] ?? 0);
    }
  };
  const native = await addon.createEngine(options, onStep, () => {});
  try {
    for (const window of windows) native.submit(scored(window));
    await finished;
  } finally {
    await native.close();
  }
  return total;
}
