// The engine loop alone: a fake model whose step takes no time, so that all that is left is scheduling, events and wake-ups.
// Prints one JSON line a batch size, and fails below the floor that docs/performance.md names.
import { type EngineStats, EventKind, loadAddon, type NativeEngine } from '../src/native/addon.ts';
import { fakeEngineOptions, greedySequence } from './fake-engine.ts';

const SECONDS = 3;
const TOKENS = 100_000;

const sequence = (k: number) =>
  greedySequence(TOKENS, { tokens: Uint32Array.of(k + 1, k + 2), stopTokenIds: Uint32Array.of(2) });

async function window(native: NativeEngine, seconds: number): Promise<{ stats: EngineStats; elapsed: number }> {
  const [before, start] = [await native.stats(), performance.now()];
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const [after, end] = [await native.stats(), performance.now()];
  return {
    stats: { ...after, steps: after.steps - before.steps, generatedTokens: after.generatedTokens - before.generatedTokens },
    elapsed: (end - start) / 1000,
  };
}

async function measure(batch: number, asynchronous: boolean, floor: number): Promise<boolean> {
  let wakes = 0;
  let events = 0;
  let submitted = 0;
  let closing = false;
  const native = await loadAddon().createEngine(
    fakeEngineOptions({ stepMicroseconds: 0, asynchronous, maxModelLen: TOKENS + 2, vocabSize: 1_000_000_000 }),
    ({ ids, kinds }) => {
      wakes++;
      events += ids.length;
      // A sequence that ends makes room for the next, so that the batch stays as large as it is.
      for (const kind of kinds) if (kind === EventKind.Finish && !closing) native.submit(sequence(submitted++));
    },
    () => {},
  );
  while (submitted < batch) native.submit(sequence(submitted++));
  await window(native, 0.5);
  wakes = events = 0;
  const { stats, elapsed } = await window(native, SECONDS);
  closing = true;
  await native.close();
  const stepsPerSecond = Math.round(stats.steps / elapsed);
  const eventsPerWake = Math.round(events / wakes);
  console.log(JSON.stringify({ bench: 'engine', batch, asynchronous, stepsPerSecond, floor, wakes, eventsPerWake }));
  return stepsPerSecond >= floor && stats.running === batch;
}

let good = true;
for (const asynchronous of [false, true]) {
  good = (await measure(1, asynchronous, 50_000)) && good;
  good = (await measure(256, asynchronous, 5_000)) && good;
}
process.exitCode = good ? 0 : 1;
