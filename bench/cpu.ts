// npm run bench:cpu [-- --model FOLDER --types bf16,q8_0,q4_0 --pairs 5 --threads 2 --llama-server PATH]: prefill, decoding and many
// clients beside llama.cpp, on the same GGUF files, in one run, alternating. Without a folder it is a TinyLlama-1.1B of random weights,
// made in a temporary one. With the path of a llama.cpp build's llama-server both are also compared over HTTP.
import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { compareServers } from './cpu-servers.ts';
import type { Loaded, Reply, Times, Work } from './cpu-worker.ts';

const max = (list: number[]): number => Math.max(...list);
const median = (list: number[]): number => list.toSorted((a, b) => a - b)[list.length >> 1] ?? Number.NaN;
const rounded = (value: number): number => Number(value.toPrecision(4));

/** What a row says of the times of its work; more is better in all of them. */
const RATES = {
  'prefill, tokens/s': ({ sequences, prompt }: Work, { first }: Times) => (sequences * prompt) / max(first),
  'decode, tokens/s': ({ sequences, tokens }: Work, { first, last }: Times) =>
    (sequences * (tokens - 1)) / (max(last) - max(first)),
  'output, tokens/s': ({ sequences, tokens }: Work, { last }: Times) => (sequences * tokens) / max(last),
  'first tokens, 1/s': (_: Work, { first }: Times) => 1 / median(first),
};

const ROWS: { work: Work; rates: (keyof typeof RATES)[] }[] = [
  { work: { sequences: 1, prompt: 512, tokens: 1 }, rates: ['prefill, tokens/s'] },
  { work: { sequences: 1, prompt: 2000, tokens: 1 }, rates: ['prefill, tokens/s'] },
  { work: { sequences: 1, prompt: 4, tokens: 17 }, rates: ['decode, tokens/s'] },
  { work: { sequences: 4, prompt: 4, tokens: 17 }, rates: ['decode, tokens/s'] },
  { work: { sequences: 16, prompt: 4, tokens: 17 }, rates: ['decode, tokens/s'] },
  { work: { sequences: 32, prompt: 4, tokens: 9 }, rates: ['decode, tokens/s'] },
  { work: { sequences: 16, prompt: 128, tokens: 64 }, rates: ['output, tokens/s', 'first tokens, 1/s'] },
];

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    types: { type: 'string', default: 'bf16,q8_0,q4_0' },
    pairs: { type: 'string', default: '5' },
    threads: { type: 'string', default: String(cpus().length) },
    'llama-server': { type: 'string' },
  },
});
const root = resolve(import.meta.dirname, '..');
const print = (line: object) => console.log(JSON.stringify({ bench: 'cpu', ...line }));

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
  const { description, seconds, readSeconds, held, needed } = await next<{ description: string } & Loaded>(side);
  const load = { loadSeconds: rounded(seconds), loadOverRead: rounded(seconds / readSeconds) };
  print({ side: description, ...load, held, ...(needed === null ? {} : { heldOverNeeded: rounded(held / needed) }) });
  return side;
}

async function ask(side: ChildProcess, work: Work): Promise<Times> {
  side.send(work);
  return next<Times>(side);
}

async function compare(type: string, file: string): Promise<void> {
  const ours = await start('cpu-ours.ts', file);
  const peer = await start('cpu-peer.ts', file).catch((error: Error) => {
    print({ type, peer: `not measured: ${error.message}` });
    return null;
  });
  for (const { work, rates } of ROWS) {
    const times: { ours: Times; peer: Times | null }[] = [];
    // The first pair warms up.
    for (let pair = 0; pair <= Number(values.pairs); pair++)
      times.push({ ours: await ask(ours, work), peer: peer && (await ask(peer, work)) });
    times.shift();
    for (const rate of rates) {
      const of = (side: Times | null) => (side ? RATES[rate](work, side) : Number.NaN);
      const ratio = median(times.map((pair) => of(pair.ours) / of(pair.peer)));
      const [one, other] = [median(times.map((pair) => of(pair.ours))), median(times.map((pair) => of(pair.peer)))];
      print({ type, ...work, rate, ours: rounded(one), peer: rounded(other), ratio: rounded(ratio) });
    }
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
    const server = values['llama-server'];
    if (server) for (const line of await compareServers(file, { server, threads: values.threads })) print({ type, ...line });
    rmSync(file);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
