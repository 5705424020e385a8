// Turns as lists of pieces, so that every character can be traced to the message that it came from.
import type { Message, Piece, Turn } from '../types.ts';

/** Between what was separate: the way of mistral-common, and of Mistral's own template for a system message. */
const SEPARATOR: Piece = { text: '\n\n', message: -1 };

export const textOf = ({ pieces }: Turn): string => pieces.map(({ text }) => text).join('');

export const isBlank = ({ pieces }: Turn): boolean => pieces.every(({ text }) => text === '');

export function turnOf({ role, content, name }: Message, message: number): Turn {
  const pieces = [{ text: content, message }];
  return name === undefined ? { role, pieces } : { role, pieces, name };
}

/** One turn of the first one's role; what is empty needs no separator. A name stays where it is everybody's. */
export function join(turns: readonly Turn[]): Turn {
  const [first] = turns as [Turn];
  const pieces: Piece[] = [];
  for (const turn of turns) {
    if (isBlank(turn)) continue;
    if (pieces.length > 0) pieces.push(SEPARATOR);
    pieces.push(...turn.pieces);
  }
  const { role, name } = first;
  return name !== undefined && turns.every((turn) => turn.name === name) ? { role, pieces, name } : { role, pieces };
}

/** User and assistant turns alternate; a tool's answers stay apart, each being about a call of its own. */
export function mergeRuns(turns: readonly Turn[]): Turn[] {
  const runs: Turn[][] = [];
  for (const turn of turns) {
    const run = runs.at(-1);
    if (run?.[0]?.role === turn.role && turn.role !== 'tool') run.push(turn);
    else runs.push([turn]);
  }
  return runs.map(join);
}
