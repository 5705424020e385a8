// What both sides of bench/cpu.ts are asked, over the channel of a forked process, one question at a time.
import { closeSync, openSync, readSync } from 'node:fs';

/** Requests that arrive at once: `sequences` prompts of `prompt` tokens, each answered with `tokens`. */
export interface Work {
  sequences: number;
  prompt: number;
  tokens: number;
}

/** Seconds after they arrived at which each had its first token and its last. */
export interface Times {
  first: number[];
  last: number[];
}

/** Of a model: seconds to load it and to read its file before that, bytes held for it, and what it should hold (null: not known). */
export interface Loaded {
  seconds: number;
  readSeconds: number;
  held: number;
  needed: number | null;
}

export interface Worker {
  run(work: Work): Promise<Times>;
  /** For the table's heading: version and instruction sets. */
  description: string;
  /** Bytes of packed weights and KV cache. */
  needed: number | null;
}

export type Reply = ({ description: string } & Loaded) | Times | { error: string };

const reply = (message: Reply) => process.send?.(message);

/** Reads a file from its first to its last byte, which also leaves it in the page cache. */
function readWhole(file: string): number {
  const buffer = Buffer.alloc(1 << 22);
  const start = performance.now();
  const descriptor = openSync(file, 'r');
  while (readSync(descriptor, buffer) > 0);
  closeSync(descriptor);
  return (performance.now() - start) / 1000;
}

export async function serve(load: (file: string, threads: number) => Promise<Worker>): Promise<void> {
  const [file = '', threads] = process.argv.slice(2);
  try {
    readWhole(file);
    const readSeconds = readWhole(file);
    const [before, start] = [process.memoryUsage.rss(), performance.now()];
    const worker = await load(file, Number(threads));
    const seconds = (performance.now() - start) / 1000;
    const held = process.memoryUsage.rss() - before;
    process.on('message', (work: Work) => {
      worker.run(work).then(reply, (error: Error) => reply({ error: error.message }));
    });
    process.on('disconnect', () => process.exit());
    reply({ description: worker.description, seconds, readSeconds, held, needed: worker.needed });
  } catch (error) {
    reply({ error: (error as Error).message });
  }
}

/** Runs `one` for each sequence at once; it is given a prompt that no cache has, and tells when its first token comes. */
export async function timed(
  work: Work,
  one: (prompt: number[], tokens: number, onFirst: () => void) => Promise<void>,
): Promise<Times> {
  const times: Times = { first: [], last: [] };
  const start = performance.now();
  const now = () => (performance.now() - start) / 1000;
  await Promise.all(
    Array.from({ length: work.sequences }, async (_, i) => {
      await one(prompt(work.prompt), work.tokens, () => {
        times.first[i] ??= now();
      });
      times.last[i] = now();
    }),
  );
  return times;
}

let number = 0;

/** Of 200 prompts in a row no two begin alike, so that no cache of prefixes helps; ids that any vocabulary has. */
function prompt(tokens: number): number[] {
  const k = number++;
  return Array.from({ length: tokens }, (_, i) => 10 + ((k * 119 + i * 31) % 211));
}
