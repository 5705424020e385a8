// What will be sampled, decided before the first request: which instruction on which dialogue, and where its samples end.
import { TextError } from '../text/types.ts';
import type { Dialogue, Turn } from './dialogue.ts';
import { choose, type Draw, within } from './draw.ts';
import { drawInstruction, type Instruction } from './instruction.ts';

/** Where written samples end: after every turn, the last one, or a number of turns chosen at random. */
export type Ends = 'all' | 'last' | number;

export interface PlanOptions {
  /** Sampled dialogues for each given one, each with an instruction of its own. */
  samples: number;
  ends: Ends;
  combine: number;
  /** Share of written samples with the short form. */
  shortShare: number;
  earlierAnswers: 'sampled' | 'given';
}

/** One sampled dialogue, of which a sample is written for each of its ends. */
export interface Job {
  /** "12.0": line of the dialogue, number of the sample. */
  key: string;
  line: number;
  turns: Turn[];
  instruction: string;
  /** Ascending numbers of turns, at least one. */
  ends: { turn: number; instruction: string }[];
  /** Draws that belong to this job. */
  draw: Draw;
}

export const lastEnd = (job: Job): number => job.ends.at(-1)?.turn ?? 0;

export function parseEnds(text: string): Ends {
  if (text === 'all' || text === 'last') return text;
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new TextError(`--ends must be all, last or a whole number of at least 1, not "${text}".`);
}

function endTurns(n: number, ends: Ends, draw: Draw): number[] {
  if (ends === 'last') return [n];
  return choose(n, ends === 'all' ? n : ends, draw);
}

function planJob(dialogue: Dialogue, sample: number, drawn: Instruction, options: PlanOptions, draw: Draw): Job {
  const { line, turns } = dialogue;
  const form = (turn: number) => (draw('short', turn) < options.shortShare ? drawn.short : drawn.full);
  const ends = endTurns(turns.length, options.ends, within(draw, 'end')).map((turn) => ({ turn, instruction: form(turn) }));
  return { key: `${line}.${sample}`, line, turns, instruction: drawn.full, ends, draw };
}

function checkAnswers({ turns, line }: Job, last: number, name: string): void {
  const missing = turns.slice(0, last - 1).findIndex(({ answer }) => answer === null);
  if (missing >= 0)
    throw new TextError(
      `${name} line ${line}: turn ${missing + 1} has no answer, which --earlier-answers given needs; give it, or take sampled.`,
    );
}

/** `name` is the dialogue file's. */
export function plan(
  dialogues: readonly Dialogue[],
  instructions: readonly Instruction[],
  options: PlanOptions,
  draw: Draw,
  name: string,
): Job[] {
  const jobs: Job[] = [];
  for (const dialogue of dialogues) {
    for (let sample = 0; sample < options.samples; sample++) {
      const own = within(draw, dialogue.line, sample);
      const job = planJob(dialogue, sample, drawInstruction(instructions, options.combine, own), options, own);
      if (options.earlierAnswers === 'given') checkAnswers(job, lastEnd(job), name);
      jobs.push(job);
    }
  }
  return jobs;
}
