// `gattling gatt`: from two files and a running server to a file of training samples.
import { createHash } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { GattConfig } from '../config.ts';
import { parseDialogues } from '../gatt/dialogue.ts';
import { drawer } from '../gatt/draw.ts';
import { inOrder } from '../gatt/in-order.ts';
import { checkKinds, parseInstructions } from '../gatt/instruction.ts';
import { openOut, resume, type Settings, toLines } from '../gatt/out.ts';
import { type Job, lastEnd, parseEnds, plan } from '../gatt/plan.ts';
import { type Sampled, sampleJob } from '../gatt/sample.ts';
import { TextError } from '../text/types.ts';
import { asker, skippable } from './gatt-ask.ts';
import type { Io, Signal } from './io.ts';
import { type ProgressView, progressView } from './progress.ts';
import { remote } from './remote.ts';
import { formatCount } from './units.ts';

// 128 + the signal's number, as shells say it.
const EXIT: Record<Signal, number> = { SIGINT: 130, SIGTERM: 143 };

async function readText(flag: string, path: string): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path));
  } catch (error) {
    throw new TextError(`--${flag} ${path} must be a UTF-8 text that can be read: ${(error as Error).message}.`);
  }
}

interface Input {
  jobs: Job[];
  /** What the content of the output depends on, but for the model. */
  settings: Settings;
}

async function readInput(config: GattConfig): Promise<Input> {
  const { samples, combine, shortShare, earlierAnswers, place, keepCut, maxTokens, seed } = config;
  const ends = parseEnds(config.ends);
  const texts = {
    dialogues: await readText('dialogues', config.dialogues),
    instructions: await readText('instructions', config.instructions),
  };
  const dialogues = parseDialogues(texts.dialogues, config.dialogues);
  const instructions = parseInstructions(texts.instructions, config.instructions);
  if (combine > 0) checkKinds(instructions, config.instructions);
  const options = { samples, ends, combine, shortShare, earlierAnswers };
  const digest = (text: string) => createHash('sha256').update(text).digest('hex');
  return {
    jobs: plan(dialogues, instructions, options, drawer(seed), config.dialogues),
    settings: {
      dialogues: digest(texts.dialogues),
      instructions: digest(texts.instructions),
      samples,
      ends,
      combine,
      'short-share': shortShare,
      'earlier-answers': earlierAnswers,
      place,
      'keep-cut': keepCut,
      'max-tokens': maxTokens,
      temperature: config.temperature ?? null,
      'top-p': config.topP ?? null,
      seed,
    },
  };
}

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
  return `${out} has ${formatCount(nSamples)} samples${lost.length > 0 ? `; left out: ${lost.join(', ')}` : ''}\n`;
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

async function write(config: GattConfig, io: Io, input: Input, model: string, stop: AbortController): Promise<Totals> {
  const { out, concurrency } = config;
  const { jobs } = input;
  const done = await resume(out, jobs, { ...input.settings, model });
  const loud = ['trace', 'debug', 'info'].includes(config.logLevel);
  const say = (text: string) => loud && io.stderr.write(`${text}\n`);
  if (done.nJobs > 0) say(`${out} has ${formatCount(done.nSamples)} samples already; going on`);
  const view = progressView(io.stderr, say);
  const settle = turnCounter(jobs, done.nJobs, view);
  const ask = asker(config, model, stop.signal, (text) => {
    view.clear();
    if (config.logLevel !== 'silent') io.stderr.write(`${text}\n`);
  });
  const work = async (job: Job): Promise<Sampled | null> => {
    let settled = 0;
    const onTurn = () => {
      settled++;
      settle(1);
    };
    try {
      return await sampleJob(job, config, ask(`${config.dialogues} line ${job.line}`), onTurn);
    } catch (error) {
      if (config.skipRefused && skippable(error)) return null;
      throw error;
    } finally {
      if (!stop.signal.aborted) settle(lastEnd(job) - settled);
    }
  };
  const totals: Totals = { nSamples: done.nSamples, nCut: 0, nEmpty: 0, nRefused: 0 };
  const file = await openOut(out);
  try {
    let index = done.nJobs;
    for await (const result of inOrder(jobs.slice(done.nJobs), concurrency, work)) {
      const job = jobs[index++];
      if (result === null) totals.nRefused += job?.ends.length ?? 0;
      else await file.appendFile(toLines(result.samples));
      totals.nSamples += result?.samples.length ?? 0;
      totals.nCut += result?.nCut ?? 0;
      totals.nEmpty += result?.nEmpty ?? 0;
    }
  } finally {
    stop.abort();
    view.clear();
    await file.close();
  }
  return totals;
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
