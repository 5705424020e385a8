// CPU time of the TypeScript engine for each streamed chunk: events in, one delta for each stream and wake-up out. No HTTP, no
// native code. Prints one JSON line for each kind of request.
import { createEngine } from '../src/engine/engine.ts';
import type { GenerateRequest } from '../src/engine/types.ts';
import { EventKind, type StepEvents } from '../src/native/addon.ts';
import { fakeAddon } from '../test/unit/engine/fake-native.ts';
import { OPTIONS, request } from '../test/unit/engine/fixtures.ts';
import { TableTokenizer } from '../test/unit/engine/table-tokenizer.ts';

const NUM_STREAMS = 64;
const NUM_STEPS = 5000;
const TOP = 5;

/** One token for each stream, as the addon would hand it over. */
function batch(step: number, numTop: number): StepEvents {
  const n = NUM_STREAMS;
  return {
    ids: Uint32Array.from({ length: n }, (_, k) => k + 1),
    kinds: new Uint8Array(n).fill(EventKind.Token),
    a: Int32Array.from({ length: n }, (_, k) => 2 + ((step + k) % 500)),
    b: new Int32Array(n).fill(numTop),
    c: new Int32Array(n),
    logprobs: new Float32Array(numTop < 0 ? 0 : n * (1 + numTop)),
    topIds: new Int32Array(numTop < 0 ? 0 : n * numTop),
    errors: [],
  };
}

async function measure(name: string, fields: Partial<GenerateRequest>): Promise<void> {
  const addon = fakeAddon({ token: () => 2 });
  const pieces = [null, null, ...Array.from({ length: 510 }, (_, k) => ` word${k}`)];
  let onStep: (events: StepEvents) => void = () => {};
  const engine = await createEngine({
    addon: {
      ...addon,
      createEngine(options, listener, onProgress) {
        onStep = listener;
        return addon.createEngine(options, listener, onProgress);
      },
    },
    options: OPTIONS,
    tokenizer: new TableTokenizer(pieces),
    template: null,
    eosTokenIds: [],
    onProgress() {},
  });
  let numChunks = 0;
  const consume = async (): Promise<void> => {
    for await (const delta of engine.generate(request({ maxTokens: 1 << 30, ...fields }), new AbortController().signal))
      numChunks += delta.text === '' ? 0 : 1;
  };
  const streams = Array.from({ length: NUM_STREAMS }, () => consume().catch(() => {}));
  const batches = Array.from({ length: 100 }, (_, step) => batch(step, fields.logprobs ?? -1));
  const run = async (numSteps: number): Promise<number> => {
    const before = process.cpuUsage();
    numChunks = 0;
    for (let step = 0; step < numSteps; step++) {
      onStep(batches[step % batches.length] as StepEvents);
      await new Promise(setImmediate);
    }
    const { user, system } = process.cpuUsage(before);
    return (user + system) / numChunks;
  };
  await run(NUM_STEPS / 5);
  const microseconds = await run(NUM_STEPS);
  console.log(
    JSON.stringify({
      bench: 'engine-ts',
      name,
      streams: NUM_STREAMS,
      chunks: numChunks,
      cpuMicrosecondsPerChunk: microseconds,
    }),
  );
  await engine.close();
  await Promise.all(streams);
}

await measure('plain', {});
await measure('four stop strings', { stop: ['###', '\n\n', 'User:', ' word'.repeat(3)] });
await measure('logprobs', { logprobs: TOP });
