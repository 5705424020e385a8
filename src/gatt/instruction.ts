// The instructions to hold: a line each, as "full", "full TAB short" or "full TAB short TAB kind".
import { TextError } from '../text/types.ts';
import type { Draw } from './draw.ts';

export interface Instruction {
  full: string;
  /** The less verbose form that half of the training samples carry; the full one where the file gives none. */
  short: string;
  /** Instructions of one kind contradict each other (two languages, say) and are never combined. */
  kind: string | null;
}

export function parseInstructions(text: string, name: string): Instruction[] {
  const instructions: Instruction[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '') continue;
    const [full = '', short = '', kind = '', ...more] = line.split('\t').map((column) => column.trim());
    if (full === '' || more.length > 0)
      throw new TextError(
        `${name} line ${index + 1} must be an instruction, then at most its short form and its kind, with a TAB before each.`,
      );
    instructions.push({ full, short: short === '' ? full : short, kind: kind === '' ? null : kind });
  }
  if (instructions.length === 0) throw new TextError(`${name} holds no instruction; give one a line.`);
  return instructions;
}

/** What combining needs: kinds, and more than one of them. */
export function checkKinds(instructions: readonly Instruction[], name: string): void {
  const none = instructions.find(({ kind }) => kind === null);
  if (none)
    throw new TextError(
      `--combine needs the kind of each instruction, and "${none.full}" of ${name} has none in a third column.`,
    );
  if (new Set(instructions.map(({ kind }) => kind)).size < 2)
    throw new TextError(`--combine joins instructions of two kinds, and ${name} has only one; give others, or --combine 0.`);
}

const pick = (from: readonly Instruction[], at: number) => from[Math.floor(at * from.length)] as Instruction;

/** One of the instructions, or with probability `combine` one joined with another of another kind. */
export function drawInstruction(instructions: readonly Instruction[], combine: number, draw: Draw): Instruction {
  const first = pick(instructions, draw('first'));
  if (draw('combine') >= combine) return first;
  const others = instructions.filter(({ kind }) => kind !== first.kind);
  const second = pick(others, draw('second'));
  return { full: `${first.full} ${second.full}`, short: `${first.short} ${second.short}`, kind: null };
}
