// Making a conversation fit by leaving out its oldest turns, never the system message nor the last user turn and what follows.
import type { Arrangement } from '../system-message.ts';
import type { Message, Role, Turn } from '../types.ts';

/** Indices of the messages of each turn that may go, oldest first. A turn is user messages and what follows up to the next. */
export function oldTurns(messages: readonly Message[]): number[][] {
  const turns: number[][] = [];
  let before: Role | null = null;
  messages.forEach(({ role }, i) => {
    if (role === 'system') return;
    if (before === null || (role === 'user' && before !== 'user')) turns.push([]);
    turns.at(-1)?.push(i);
    before = role;
  });
  return turns.slice(0, -1);
}

/**
 * The least n of 0..most for which `fits` holds, or most if none does, in about log2(most) calls: `fits` stays true once it is.
 * The first call is for 0, which is the usual answer.
 */
export async function fewest(most: number, fits: (n: number) => Promise<boolean>): Promise<number> {
  if (most === 0 || (await fits(0))) return 0;
  let tooFew = 0;
  let enough = most;
  while (enough - tooFew > 1) {
    const n = (tooFew + enough) >> 1;
    if (await fits(n)) enough = n;
    else tooFew = n;
  }
  return enough;
}

/** What an arrangement costs at any rate: a token holds so many bytes, and markup takes a token for each turn. */
export function leastTokens({ turns, instruction, carriers }: Arrangement, maxTokenBytes: number): number {
  const copies = instruction === null ? 0 : carriers.length * bytesOf(instruction);
  const bytes = turns.reduce((sum, turn) => sum + bytesOf(turn), copies);
  return Math.max(Math.ceil(bytes / maxTokenBytes), turns.length);
}

const bytesOf = ({ pieces }: Turn): number => pieces.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0);
