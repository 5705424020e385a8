// One way a process with an engine in it can go: `node scenario.mjs <name>`. What it prints and how it ends is the test's.
import { createRequire } from 'node:module';
import { isMainThread, Worker, workerData } from 'node:worker_threads';

const addon = createRequire(import.meta.url)('../../../build/Release/gattling.node');

const options = {
  model: '',
  device: 'cpu',
  dtype: 'auto',
  kvCacheDtype: 'auto',
  quantization: 'none',
  maxModelLen: 0,
  maxNumSeqs: 8,
  maxNumBatchedTokens: 0,
  blockSize: 0,
  kvCacheMemory: 0,
  threads: 0,
  gpuMemoryUtilization: 0,
  deterministic: false,
  enablePrefixCaching: true,
  fake: { vocabSize: 1000, stepMicroseconds: 500, maxModelLen: 100_000, asynchronous: process.argv[3] === 'asynchronous' },
};

const request = (maxTokens) => ({
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
});

const nothing = () => {};
const create = (onStep = nothing) => addon.createEngine(options, onStep, nothing);

/** An engine in the middle of a stream. */
function streaming(onToken = nothing) {
  return new Promise((resolve, reject) => {
    let engine;
    create((events) => {
      onToken(events);
      resolve(engine);
    }).then((created) => {
      engine = created;
      for (let i = 0; i < 4; i++) engine.submit(request(50_000));
    }, reject);
  });
}

async function terminated(task, afterMs) {
  const worker = new Worker(new URL(import.meta.url), { workerData: task, argv: process.argv.slice(2) });
  await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  await new Promise((resolve) => setTimeout(resolve, afterMs));
  await worker.terminate();
}

const scenarios = {
  async exitWhileStreaming() {
    await streaming();
    process.exit(3);
  },
  async exitInsideTheCallback() {
    await streaming(() => process.exit(3));
  },
  exitWhileLoading() {
    create();
    process.exit(3);
  },
  async exitWhileClosing() {
    const engine = await streaming();
    engine.close();
    process.exit(3);
  },
  async throwsElsewhere() {
    await streaming();
    throw new Error('thrown elsewhere');
  },
  async callbackThrows() {
    const engine = await create(() => {
      throw new Error('thrown by onStep');
    });
    engine.submit(request(1));
  },
  async callbackThrowsAndIsCaught() {
    let caught = 0;
    process.on('uncaughtException', (error) => {
      if (error.message === 'thrown by onStep') caught++;
    });
    let finished = 0;
    const engine = await create((events) => {
      finished += events.kinds.filter((kind) => kind === 2).length;
      throw new Error('thrown by onStep');
    });
    for (let i = 0; i < 3; i++) engine.submit(request(20));
    while (finished < 3) await engine.stats();
    engine.submit(request(50_000));
    await engine.close();
    console.log(`caught ${caught > 1}, finished ${finished}`);
  },
  async endsWithoutClose() {
    const engine = await create();
    console.log((await engine.stats()).running);
  },
  async endsWhenTheRequestDoes() {
    let tokens = 0;
    const engine = await create((events) => {
      for (const kind of events.kinds) {
        if (kind === 0) tokens++;
        else console.log(`${tokens} tokens`);
      }
    });
    engine.submit(request(200));
  },
  async endsAfterClose() {
    const engine = await streaming();
    await engine.close();
    console.log('closed');
  },
  async collected() {
    for (let i = 0; i < 20; i++) await create();
    globalThis.gc();
    await new Promise((resolve) => setTimeout(resolve, 10));
    globalThis.gc();
    console.log('collected');
  },
  async workersTerminated() {
    for (let i = 0; i < 12; i++) await terminated('stream', i);
    for (let i = 0; i < 4; i++) await terminated('load', i);
    for (let i = 0; i < 4; i++) await terminated('close', i);
    console.log('terminated');
  },
};

const tasks = {
  async stream(port) {
    await streaming();
    port.postMessage('');
    await new Promise(() => {});
  },
  load(port) {
    port.postMessage('');
    setInterval(create, 1);
  },
  async close(port) {
    const engine = await streaming();
    port.postMessage('');
    engine.close();
  },
};

if (isMainThread) {
  await scenarios[process.argv[2]]();
} else {
  const { parentPort } = await import('node:worker_threads');
  await tasks[workerData](parentPort);
}
