// llama.cpp as the npm package node-llama-cpp brings it, for bench/cpu.ts: `npm install --no-save node-llama-cpp` puts it there.
import { prompt, serve, type Work } from './cpu-worker.ts';

/** What is used of the package, which is no dependency. */
interface Sequence {
  evaluate(tokens: number[], options: object): AsyncGenerator<number>;
  evaluateWithoutGeneratingNewTokens(tokens: number[]): Promise<void>;
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
  const context = await model.createContext({ contextSize: 1024, sequences: SEQUENCES, batchSize: 512, threads });
  const all = Array.from({ length: SEQUENCES }, () => context.getSequence());
  let number = 0;

  async function decode(sequence: Sequence, tokens: number): Promise<[number, number]> {
    let first = 0;
    let n = 0;
    for await (const _ of sequence.evaluate(prompt(number++, 4), { temperature: 0, yieldEogToken: true })) {
      first ||= performance.now();
      if (n++ === tokens) break;
    }
    return [first, performance.now()];
  }

  const run = async ({ kind, sequences, tokens }: Work): Promise<number> => {
    const used = all.slice(0, sequences);
    await Promise.all(used.map((sequence) => sequence.clearHistory()));
    const start = performance.now();
    if (kind === 'prefill') {
      await Promise.all(used.map((sequence) => sequence.evaluateWithoutGeneratingNewTokens(prompt(number++, tokens))));
      return (performance.now() - start) / 1000;
    }
    const spans = await Promise.all(used.map((sequence) => decode(sequence, tokens)));
    return (Math.max(...spans.map(([, end]) => end)) - Math.max(...spans.map(([first]) => first))) / 1000;
  };
  return { run, description: `llama.cpp ${llama.llamaCppRelease.release} (node-llama-cpp): ${llama.systemInfo.trim()}` };
});
