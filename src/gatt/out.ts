// The file of samples. At every moment it is a beginning of the finished file, so that a run can go on where another was stopped;
// the settings that it depends on lie beside it.
import { createReadStream } from 'node:fs';
import { type FileHandle, open, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { TextError } from '../text/types.ts';
import { type Job, lastEnd } from './plan.ts';
import type { Sample } from './sample.ts';

/** By flag name. */
export type Settings = Record<string, string | number | boolean | null>;

const settingsPath = (out: string) => `${out}.settings.json`;

async function sizeOf(path: string): Promise<number> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  return found?.size ?? 0;
}

function difference(flag: string, before: unknown, now: unknown): string {
  const value = (each: unknown) => (each === null || each === undefined ? 'unset' : String(each));
  return flag === 'dialogues' || flag === 'instructions'
    ? `another content of --${flag}`
    : `--${flag} ${value(before)}, not ${value(now)}`;
}

async function readSettings(out: string): Promise<Settings> {
  try {
    return JSON.parse(await readFile(settingsPath(out), 'utf8'));
  } catch {
    throw new TextError(`${out} exists without its ${settingsPath(out)}; give another --out, or remove it.`);
  }
}

async function checkSettings(out: string, now: Settings): Promise<void> {
  const before = await readSettings(out);
  const flag = Object.keys({ ...now, ...before }).find((each) => (now[each] ?? null) !== (before[each] ?? null));
  if (flag === undefined) return;
  const change = difference(flag, before[flag], now[flag]);
  throw new TextError(`${out} was begun with ${change}; give the same settings, another --out, or remove it.`);
}

/** The whole lines of a file, and the byte at which each begins and ends; a last line without its end is left out. */
async function* wholeLines(path: string): AsyncGenerator<{ text: string; start: number; end: number }> {
  let rest = Buffer.alloc(0);
  let start = 0;
  for await (const chunk of createReadStream(path)) {
    rest = Buffer.concat([rest, chunk as Buffer]);
    let from = 0;
    for (let at = rest.indexOf(10); at >= 0; at = rest.indexOf(10, from)) {
      yield { text: rest.toString('utf8', from, at), start: start + from, end: start + at + 1 };
      from = at + 1;
    }
    rest = rest.subarray(from);
    start += from;
  }
}

/** "12.0.5" -> ["12.0", 5] */
function readId(line: string): [string, number] {
  try {
    const { id } = JSON.parse(line) as Partial<Sample>;
    const [, key = '', turn] = /^(\d+\.\d+)\.(\d+)$/.exec(id ?? '') ?? [];
    return [key, Number(turn)];
  } catch {
    return ['', 0];
  }
}

export interface Progress {
  /** Jobs of the plan that need not be sampled again. */
  nJobs: number;
  nSamples: number;
}

interface Kept extends Progress {
  bytes: number;
}

/** What of the file can stay: a job whose last sample is missing is sampled again as a whole. */
async function kept(path: string, jobs: readonly Job[]): Promise<Kept> {
  const indexOf = new Map(jobs.map(({ key }, index) => [key, index]));
  let done: Kept = { nJobs: 0, nSamples: 0, bytes: 0 };
  let current = { index: -1, turn: 0, nSamples: 0 };
  let number = 0;
  for await (const { text, start, end } of wholeLines(path)) {
    number++;
    const [key, turn] = readId(text);
    const index = indexOf.get(key) ?? -1;
    if (index < current.index || index < 0 || (index === current.index && turn <= current.turn))
      throw new TextError(`${path} line ${number} is no sample of this run in its place; give another --out, or remove it.`);
    // Samples of a later job: the one before is done, whether or not all of its samples had an answer.
    if (index > current.index) done = { nJobs: index, nSamples: number - 1, bytes: start };
    current = { index, turn, nSamples: number };
    const job = jobs[index] as Job;
    if (turn === lastEnd(job)) done = { nJobs: index + 1, nSamples: number, bytes: end };
  }
  return done;
}

/** Makes the file ready for what is still to be sampled; refuses one that other settings or another program made. */
export async function resume(out: string, jobs: readonly Job[], settings: Settings): Promise<Progress> {
  const size = await sizeOf(out);
  if (size === 0) {
    await writeFile(settingsPath(out), `${JSON.stringify(settings, null, 2)}\n`).catch((error: Error) => {
      throw new TextError(`--out ${out} cannot be written (${error.message}); give a file in a folder that exists.`);
    });
    return { nJobs: 0, nSamples: 0 };
  }
  await checkSettings(out, settings);
  const { bytes, ...progress } = await kept(out, jobs);
  if (bytes < size) await truncate(out, bytes);
  return progress;
}

export async function openOut(out: string): Promise<FileHandle> {
  return open(out, 'a').catch((error: Error) => {
    throw new TextError(`--out ${out} cannot be written (${error.message}); give a file in a folder that exists.`);
  });
}

export const toLines = (samples: readonly Sample[]): string => samples.map((sample) => `${JSON.stringify(sample)}\n`).join('');
