// npm run bench:cpu [-- --model FOLDER --types bf16,q8_0,q4_0 --pairs 5 --threads 2]: prefill and decoding beside llama.cpp, on the same
// GGUF files, in one run, alternating. Without a folder it is a TinyLlama-1.1B of random weights, made in a temporary one.
import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { Reply, Work } from './cpu-worker.ts';

const WORKS: Work[] = [
  { kind: 'prefill', sequences: 1, tokens: 512 },
  { kind: 'decode', sequences: 1, tokens: 16 },
  { kind: 'decode', sequences: 4, tokens: 16 },
  { kind: 'decode', sequences: 16, tokens: 16 },
  { kind: 'decode', sequences: 32, tokens: 8 },
];

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    types: { type: 'string', default: 'bf16,q8_0,q4_0' },
    pairs: { type: 'string', default: '5' },
    threads: { type: 'string', default: String(cpus().length) },
  },
});
const root = resolve(import.meta.dirname, '..');

function gattling(...args: string[]): void {
  const { status, stderr } = spawnSync('npx', ['tsx', 'src/main.ts', ...args], { cwd: root, encoding: 'utf8' });
  if (status !== 0) throw new Error(`gattling ${args.join(' ')}: ${stderr}`);
}

/** The next message of a side; its end is an error. */
function next<T extends Reply>(side: ChildProcess): Promise<T> {
  return new Promise((done, failed) => {
    const ended = () => failed(new Error('a side of the bench ended'));
    side.once('exit', ended);
    side.once('message', (reply: Reply) => {
      side.off('exit', ended);
      if ('error' in reply) failed(new Error(reply.error));
      else done(reply as T);
    });
  });
}

async function start(script: string, file: string): Promise<ChildProcess> {
  const side = fork(join(import.meta.dirname, script), [file, values.threads], { execArgv: ['--import', 'tsx'] });
  const { description } = await next<{ description: string }>(side);
  console.log(JSON.stringify({ bench: 'cpu', side: description }));
  return side;
}

async function rate(side: ChildProcess, work: Work): Promise<number> {
  side.send(work);
  const { seconds } = await next<{ seconds: number }>(side);
  return (work.sequences * work.tokens) / seconds;
}

const median = (list: number[]): number => list.toSorted((a, b) => a - b)[list.length >> 1] ?? Number.NaN;
const rounded = (value: number): number => Number(value.toPrecision(4));

async function compare(type: string, file: string): Promise<void> {
  const ours = await start('cpu-ours.ts', file);
  const peer = await start('cpu-peer.ts', file).catch((error: Error) => {
    console.log(JSON.stringify({ bench: 'cpu', type, peer: `not measured: ${error.message}` }));
    return null;
  });
  for (const work of WORKS) {
    const rates: { ours: number[]; peer: number[] } = { ours: [], peer: [] };
    // The first pair warms up.
    for (let pair = 0; pair <= Number(values.pairs); pair++) {
      const pairOf = { ours: await rate(ours, work), peer: peer ? await rate(peer, work) : Number.NaN };
      if (pair === 0) continue;
      rates.ours.push(pairOf.ours);
      rates.peer.push(pairOf.peer);
    }
    const ratio = median(rates.ours.map((value, i) => value / (rates.peer[i] ?? Number.NaN)));
    const line = { ours: rounded(median(rates.ours)), peer: rounded(median(rates.peer)), ratio: rounded(ratio) };
    console.log(JSON.stringify({ bench: 'cpu', type, ...work, unit: 'tokens/s', ...line }));
  }
  for (const side of [ours, peer]) side?.disconnect();
}

const scratch = mkdtempSync(join(tmpdir(), 'gattling-bench-'));
try {
  const folder = values.model ?? join(scratch, 'tinyllama');
  if (!values.model) gattling('synth', '--shape', 'tinyllama-1.1b', '--out', folder);
  for (const type of values.types.split(',')) {
    const file = join(scratch, `${type}.gguf`);
    gattling('convert', resolve(folder), file, '--type', type);
    await compare(type, file);
    rmSync(file);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
