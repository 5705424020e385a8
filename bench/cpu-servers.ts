// The HTTP rows of bench/cpu.ts: this server and llama.cpp's, one after the other on the same file, 16 clients of 128 tokens in and 64 out.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { quantile, stream } from './sse-client.ts';

const CLIENTS = 16;
const PROMPT = 128;
const TOKENS = 64;
const ROUNDS = 3;
/** Of loading a model. */
const PATIENCE_MS = 300_000;

const root = resolve(import.meta.dirname, '..');

interface Side {
  name: string;
  program: string;
  args: string[];
  port: number;
}

interface Measured {
  tokensPerSecond: number;
  firstTokenSeconds: number;
}

async function whenHealthy({ name, port }: Side, server: ChildProcess): Promise<void> {
  const until = performance.now() + PATIENCE_MS;
  while (performance.now() < until) {
    if (server.exitCode !== null) throw new Error(`${name} ended with ${server.exitCode}`);
    const healthy = await fetch(`http://127.0.0.1:${port}/health`).then(
      (response) => response.ok,
      () => false,
    );
    if (healthy) return;
    await setTimeout(250);
  }
  throw new Error(`${name} was not ready after ${PATIENCE_MS / 1000} s`);
}

/** Ids that no other request of a run begins with. */
const prompt = (number: number): number[] => Array.from({ length: PROMPT }, (_, i) => 10 + ((number * 119 + i * 31) % 211));

async function round(url: string, first: number): Promise<Measured> {
  const start = performance.now();
  const results = await Promise.all(
    Array.from({ length: CLIENTS }, (_, i) =>
      stream(url, { model: 'any', prompt: prompt(first + i), max_tokens: TOKENS, temperature: 0, ignore_eos: true }),
    ),
  );
  const seconds = (performance.now() - start) / 1000;
  const failure = results.find(({ status, done }) => status !== 200 || !done);
  if (failure) throw new Error(`${url} answered ${failure.status}: ${failure.body}`);
  const firsts = results.map(({ times, started }) => ((times[0] ?? Number.NaN) - started) / 1000);
  return { tokensPerSecond: (CLIENTS * TOKENS) / seconds, firstTokenSeconds: quantile(firsts, 0.5) };
}

async function measure(side: Side): Promise<Measured> {
  const server = spawn(side.program, side.args, { stdio: 'ignore', cwd: root });
  const ended = once(server, 'exit');
  try {
    await Promise.race([
      whenHealthy(side, server),
      ended.then(() => {
        throw new Error(`${side.name} ended before it was ready`);
      }),
    ]);
    const rounds: Measured[] = [];
    for (let k = 0; k <= ROUNDS; k++) rounds.push(await round(`http://127.0.0.1:${side.port}/v1/completions`, k * CLIENTS));
    const middle = (key: keyof Measured) =>
      quantile(
        rounds.slice(1).map((one) => one[key]),
        0.5,
      );
    return { tokensPerSecond: middle('tokensPerSecond'), firstTokenSeconds: middle('firstTokenSeconds') };
  } finally {
    server.kill();
    await ended;
  }
}

/** A line for each server, and one with the ratios. */
export async function compareServers(
  file: string,
  { server, threads }: { server: string; threads: string },
): Promise<object[]> {
  const common = ['--host', '127.0.0.1'];
  const ours: Side = {
    name: 'gattling',
    program: process.execPath,
    args: [
      '--import',
      'tsx',
      resolve(root, 'src/main.ts'),
      'serve',
      file,
      ...common,
      '--port',
      '8191',
      '--threads',
      threads,
      '--max-num-seqs',
      '16',
      '--served-model-name',
      'any',
    ],
    port: 8191,
  };
  const peer: Side = {
    name: 'llama.cpp',
    program: server,
    args: ['-m', file, ...common, '--port', '8192', '-t', threads, '-np', '16', '-c', '4096', '-cb'],
    port: 8192,
  };
  const [one, other] = [await measure(ours), await measure(peer)];
  const ratios = {
    tokensPerSecond: one.tokensPerSecond / other.tokensPerSecond,
    firstTokenSooner: other.firstTokenSeconds / one.firstTokenSeconds,
  };
  return [
    { server: ours.name, ...one },
    { server: peer.name, ...other },
    { server: 'ratio', ...ratios },
  ];
}
