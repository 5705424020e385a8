// What both sides of bench/cpu.ts are asked, over the channel of a forked process, one question at a time.

export interface Work {
  /** Prompts of `tokens` tokens, or sequences that decode `tokens` each, at once. */
  kind: 'prefill' | 'decode';
  sequences: number;
  tokens: number;
}

export interface Worker {
  /** Seconds that the work took: all prompts, or from when each sequence had its first token to when all had their last. */
  run(work: Work): Promise<number>;
  /** For the table's heading: version and instruction sets. */
  description: string;
}

export type Reply = { description: string } | { seconds: number } | { error: string };

const reply = (message: Reply) => process.send?.(message);

export async function serve(load: (file: string, threads: number) => Promise<Worker>): Promise<void> {
  const [file = '', threads] = process.argv.slice(2);
  try {
    const worker = await load(file, Number(threads));
    process.on('message', (work: Work) => {
      worker.run(work).then(
        (seconds) => reply({ seconds }),
        (error: Error) => reply({ error: error.message }),
      );
    });
    process.on('disconnect', () => process.exit());
    reply({ description: worker.description });
  } catch (error) {
    reply({ error: (error as Error).message });
  }
}

/** Of 200 prompts in a row no two begin alike, so that no cache of prefixes helps; ids that any vocabulary has. */
export function prompt(number: number, tokens: number): number[] {
  return Array.from({ length: tokens }, (_, i) => 10 + ((number * 119 + i * 31) % 211));
}
