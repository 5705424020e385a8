// This engine, for bench/cpu.ts.
import { type EngineOptions, EventKind, loadAddon, type StepEvents } from '../src/native/addon.ts';
import { serve, timed } from './cpu-worker.ts';
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

await serve(async (file, threads) => {
  const options: EngineOptions = {
    ...fakeEngineOptions({ stepMicroseconds: 0, asynchronous: false, maxModelLen: 0, vocabSize: 1 }),
    ...{ model: file, threads, maxModelLen: 2048, maxNumSeqs: 32, maxNumBatchedTokens: 256, blockSize: 16 },
    ...{ gpuMemoryUtilization: 0.9, kvCacheMemory: 2 ** 31 },
  };
  delete options.fake;
  const native = await loadAddon().createEngine(options, onStep, () => {});
  const { unit, weightBytes, kvBytes } = native.info;
  return {
    run: (work) =>
      timed(
        work,
        (prompt, tokens, onFirst) =>
          new Promise((done) => {
            const id = native.submit(greedySequence(tokens, { tokens: Uint32Array.from(prompt) }));
            listeners.set(id, { token: onFirst, end: done });
          }),
      ),
    description: `gattling, ${unit}, ${native.info.threads} threads`,
    needed: weightBytes + kvBytes,
  };
});
