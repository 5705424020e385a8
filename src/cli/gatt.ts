// `gattling gatt`: from two files and a running server to a file of training samples.
import { setMaxListeners } from 'node:events';
import type { GattConfig } from '../config.ts';
import { inOrder } from '../gatt/in-order.ts';
import { openOut, resume, toLines } from '../gatt/out.ts';
import { type Job, lastEnd } from '../gatt/plan.ts';
import { type Ask, type Sampled, sampleJob } from '../gatt/sample.ts';
import { asker, skippable } from './gatt-ask.ts';
import { type Input, readInput } from './gatt-input.ts';
import type { Io, Signal } from './io.ts';
import { type ProgressView, progressView } from './progress.ts';
import { remote } from './remote.ts';
import { formatCount } from './units.ts';

// 128 + the signal's number, as shells say it.
const EXIT: Record<Signal, number> = { SIGINT: 130, SIGTERM: 143 };

interface Totals {
  nSamples: number;
  nCut: number;
  nEmpty: number;
  nRefused: number;
}

function summary(out: string, { nSamples, nCut, nEmpty, nRefused }: Totals): string {
  const left = [
    [nCut, 'whose answer was cut by a limit of tokens'],
    [nEmpty, 'whose answer was empty'],
    [nRefused, 'of dialogues that the server refused'],
  ] as const;
  const lost = left.filter(([n]) => n > 0).map(([n, what]) => `${formatCount(n)} ${what}`);
  return `${out} has ${formatCount(nSamples)} sample${nSamples === 1 ? '' : 's'}${lost.length > 0 ? `; left out: ${lost.join(', ')}` : ''}\n`;
}

/** Work in turns of dialogues, those of earlier runs included. */
function turnCounter(jobs: readonly Job[], from: number, view: ProgressView) {
  const sum = (some: readonly Job[]) => some.reduce((turns, job) => turns + lastEnd(job), 0);
  const total = sum(jobs);
  let done = sum(jobs.slice(0, from));
  const add = (turns: number) => {
    done += turns;
    view.step({ stage: 'sampling', done, total });
  };
  add(0);
  return add;
}

type Work = (job: Job) => Promise<Sampled | null>;

/** null: the server refused the dialogue, and others go on. */
function worker(config: GattConfig, ask: (place: string) => Ask, settle: (turns: number) => void): Work {
  return async (job) => {
    let left = lastEnd(job);
    const onTurn = () => {
      left--;
      settle(1);
    };
    try {
      const sampled = await sampleJob(job, config, ask(`${config.dialogues} line ${job.line}`), onTurn);
      settle(left);
      return sampled;
    } catch (error) {
      if (!config.skipRefused || !skippable(error)) throw error;
      settle(left);
      return null;
    }
  };
}

async function append(out: string, jobs: readonly Job[], concurrency: number, work: Work): Promise<Totals> {
  const totals: Totals = { nSamples: 0, nCut: 0, nEmpty: 0, nRefused: 0 };
  const file = await openOut(out);
  let index = 0;
  try {
    for await (const sampled of inOrder(jobs, concurrency, work)) {
      const nEnds = jobs[index++]?.ends.length ?? 0;
      const { samples, nCut, nEmpty } = sampled ?? { samples: [], nCut: 0, nEmpty: 0 };
      await file.appendFile(toLines(samples));
      totals.nSamples += samples.length;
      totals.nCut += nCut;
      totals.nEmpty += nEmpty;
      totals.nRefused += sampled === null ? nEnds : 0;
    }
  } finally {
    await file.close();
  }
  return totals;
}

async function write(config: GattConfig, io: Io, input: Input, model: string, stop: AbortController): Promise<Totals> {
  const { out, concurrency, logLevel } = config;
  const { jobs, settings } = input;
  const done = await resume(out, jobs, { ...settings, model });
  const loud = ['trace', 'debug', 'info'].includes(logLevel);
  const say = (text: string) => loud && io.stderr.write(`${text}\n`);
  if (done.nJobs > 0) say(`${out} has ${formatCount(done.nSamples)} samples already; going on`);
  const view = progressView(io.stderr, say);
  const warn = (text: string) => {
    view.clear();
    if (logLevel !== 'silent') io.stderr.write(`${text}\n`);
  };
  const work = worker(config, asker(config, model, stop.signal, warn), turnCounter(jobs, done.nJobs, view));
  try {
    const totals = await append(out, jobs.slice(done.nJobs), concurrency, work);
    return { ...totals, nSamples: done.nSamples + totals.nSamples };
  } finally {
    stop.abort();
    view.clear();
  }
}

export async function runGatt(config: GattConfig, io: Io): Promise<number> {
  const input = await readInput(config);
  const model = config.model ?? (await remote(config.url, config.apiKey[0]).firstModel('--model NAME'));
  const stop = new AbortController();
  // One for each request that runs, or waits to be tried again.
  setMaxListeners(0, stop.signal);
  let stopped: Signal | null = null;
  const release = io.onSignal((signal) => {
    stopped ??= signal;
    stop.abort();
  });
  try {
    io.stdout.write(summary(config.out, await write(config, io, input, model, stop)));
    return 0;
  } catch (error) {
    if (stopped === null) throw error;
    io.stderr.write(`gattling: stopped; the same command goes on with ${config.out}\n`);
    return EXIT[stopped];
  } finally {
    release();
  }
}
