// This engine, for bench/cpu.ts.
import { type EngineOptions, EventKind, loadAddon, type NativeEngine, type StepEvents } from '../src/native/addon.ts';
import { prompt, serve, type Work } from './cpu-worker.ts';
import { fakeEngineOptions, greedySequence } from './fake-engine.ts';

/** Sequence -> what it is told of each token and of its end. */
const listeners = new Map<number, { token(): void; end(): void }>();

function onStep({ ids, kinds }: StepEvents): void {
  for (let i = 0; i < ids.length; i++) {
    const listener = listeners.get(ids[i] ?? -1);
    if (kinds[i] === EventKind.Token) listener?.token();
    if (kinds[i] === EventKind.Finish) listener?.end();
  }
}

/** Resolves to the times of the first token and of the end. */
function generate(native: NativeEngine, tokens: number[], maxTokens: number): Promise<[number, number]> {
  return new Promise((resolve) => {
    let first = 0;
    const id = native.submit(greedySequence(maxTokens, { tokens: Uint32Array.from(tokens) }));
    listeners.set(id, {
      token: () => {
        first ||= performance.now();
      },
      end: () => resolve([first, performance.now()]),
    });
  });
}

await serve(async (file, threads) => {
  const options: EngineOptions = {
    ...fakeEngineOptions({ stepMicroseconds: 0, asynchronous: false, maxModelLen: 0, vocabSize: 1 }),
    ...{ model: file, threads, maxModelLen: 1024, maxNumSeqs: 32, maxNumBatchedTokens: 256, blockSize: 16 },
    ...{ gpuMemoryUtilization: 0.9, kvCacheMemory: 2 ** 31 },
  };
  delete options.fake;
  const native = await loadAddon().createEngine(options, onStep, () => {});
  let number = 0;
  const run = async ({ kind, sequences, tokens }: Work): Promise<number> => {
    const decodes = kind === 'decode';
    const start = performance.now();
    const spans = await Promise.all(
      Array.from({ length: sequences }, () =>
        generate(native, prompt(number++, decodes ? 4 : tokens), decodes ? tokens + 1 : 1),
      ),
    );
    const from = decodes ? Math.max(...spans.map(([first]) => first)) : start;
    return (Math.max(...spans.map(([, end]) => end)) - from) / 1000;
  };
  return { run, description: `gattling, ${native.info.unit}, ${native.info.threads} threads` };
});
