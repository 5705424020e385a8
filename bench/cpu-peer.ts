// llama.cpp as the npm package node-llama-cpp brings it, for bench/cpu.ts: `npm install --no-save node-llama-cpp` puts it there.
import { serve, timed } from './cpu-worker.ts';

/** What is used of the package, which is no dependency. */
interface Sequence {
  evaluate(tokens: number[], options: object): AsyncGenerator<number>;
  clearHistory(): Promise<void>;
}
interface Package {
  getLlama(options: object): Promise<{
    systemInfo: string;
    llamaCppRelease: { release: string };
    loadModel(options: object): Promise<{ createContext(options: object): Promise<{ getSequence(): Sequence }> }>;
  }>;
}

const SEQUENCES = 32;

await serve(async (file, threads) => {
  const name = 'node-llama-cpp';
  const { getLlama } = (await import(name)) as Package;
  const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error', maxThreads: threads });
  const model = await llama.loadModel({ modelPath: file });
  const context = await model.createContext({ contextSize: 2048, sequences: SEQUENCES, batchSize: 512, threads });
  const all = Array.from({ length: SEQUENCES }, () => context.getSequence());
  return {
    async run(work) {
      const free = all.slice(0, work.sequences);
      await Promise.all(free.map((sequence) => sequence.clearHistory()));
      return timed(work, async (prompt, tokens, onFirst) => {
        let n = 0;
        for await (const _ of (free.pop() as Sequence).evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
          onFirst();
          if (++n === tokens) break;
        }
      });
    },
    description: `llama.cpp ${llama.llamaCppRelease.release} (node-llama-cpp): ${llama.systemInfo.trim()}`,
    needed: null,
  };
});
