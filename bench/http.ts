// What HTTP costs: server CPU for each streamed chunk with 64 streams, paced so that no chunk holds two tokens, beside what a
// bare node:http server pays for writing the same chunks; and plain requests under autocannon.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import autocannon from 'autocannon';
import { type StreamResult, stream } from './sse-client.ts';

const STREAMS = 64;
const TOKENS = 250;
const STEP_MICROSECONDS = 20_000;
const CEILING = 20;

async function start(script: string, ...args: string[]): Promise<{ child: ChildProcess; address: string }> {
  const child = fork(new URL(script, import.meta.url), args, { execArgv: ['--import', 'tsx'] });
  const [address] = (await once(child, 'message')) as [string];
  return { child, address };
}

async function cpu(child: ChildProcess): Promise<number> {
  child.send('cpu');
  const [microseconds] = (await once(child, 'message')) as [number];
  return microseconds;
}

async function stop(child: ChildProcess): Promise<void> {
  child.send('close');
  await once(child, 'exit');
}

const body = (k: number) => ({ model: 'fake', prompt: [k + 2, k + 3], max_tokens: TOKENS, temperature: 0, ignore_eos: true });

/** CPU microseconds of the server for each chunk, over a whole wave of streams. */
async function wave({
  child,
  address,
}: {
  child: ChildProcess;
  address: string;
}): Promise<{ perChunk: number; merged: number }> {
  const before = await cpu(child);
  const jobs: Promise<StreamResult>[] = [];
  for (let k = 0; k < STREAMS; k++) jobs.push(stream(`${address}/v1/completions`, body(k)));
  const results = await Promise.all(jobs);
  const spent = (await cpu(child)) - before;
  const chunks = results.flatMap(({ texts }) => texts);
  if (results.some(({ status, done }) => status !== 200 || !done)) throw new Error('a stream did not end well');
  // A token is " w" and a number; a chunk of two tokens has two spaces.
  const merged = chunks.filter((text) => text.split(' ').length > 2).length;
  return { perChunk: spent / chunks.length, merged };
}

async function streams(): Promise<boolean> {
  const ours = await start('./http-server.ts', String(STEP_MICROSECONDS));
  const bare = await start('./bare-server.ts', String(STEP_MICROSECONDS), String(TOKENS));
  await wave(ours); // warms both up
  await wave(bare);
  const pairs = [];
  for (let k = 0; k < 3; k++) pairs.push({ ours: await wave(ours), bare: await wave(bare) });
  const median = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
  const perChunk = median(pairs.map((pair) => pair.ours.perChunk));
  const barePerChunk = median(pairs.map((pair) => pair.bare.perChunk));
  const merged = pairs.reduce((sum, pair) => sum + pair.ours.merged, 0);
  const line = { bench: 'http-stream', streams: STREAMS, tokens: TOKENS, microsecondsPerChunk: perChunk, barePerChunk };
  console.log(JSON.stringify({ ...line, ratio: perChunk / barePerChunk, ceiling: CEILING, chunksWithTwoTokens: merged }));
  await stop(ours.child);
  await stop(bare.child);
  return perChunk <= CEILING;
}

async function requests(): Promise<void> {
  const { child, address } = await start('./http-server.ts', '0');
  const plain = [
    { name: 'health', url: `${address}/health` },
    { name: 'completion of 8 tokens', url: `${address}/v1/completions`, body: JSON.stringify({ ...body(1), max_tokens: 8 }) },
  ];
  for (const { name, url, body } of plain) {
    const before = await cpu(child);
    const result = await autocannon({
      url,
      connections: 32,
      duration: 4,
      method: body === undefined ? 'GET' : 'POST',
      headers: { 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body }),
    });
    const spent = (await cpu(child)) - before;
    const total = result.requests.total;
    const { p50, p99 } = result.latency;
    const line = { bench: 'http-request', name, requestsPerSecond: result.requests.average, p50, p99, errors: result.errors };
    console.log(JSON.stringify({ ...line, failed: result.non2xx, cpuMicrosecondsPerRequest: spent / total }));
  }
  await stop(child);
}

const good = await streams();
await requests();
process.exitCode = good ? 0 : 1;
