// Chance by name: a draw depends on the seed and its own name alone, never on what was drawn before it, so that neither the
// concurrency nor a resumed run can change it.
import { createHash } from 'node:crypto';

/** Uniform in [0, 1), equal for equal names. */
export type Draw = (...name: (string | number)[]) => number;

export const drawer =
  (seed: number): Draw =>
  (...name) =>
    createHash('sha256')
      .update(JSON.stringify([seed, ...name]))
      .digest()
      .readUIntBE(0, 6) /
    2 ** 48;

/** The draws of one thing: its name goes before theirs. */
export const within =
  (draw: Draw, ...prefix: (string | number)[]): Draw =>
  (...name) =>
    draw(...prefix, ...name);

/** `count` different numbers of 1..n, or all of them, in ascending order. */
export function choose(n: number, count: number, draw: Draw): number[] {
  const numbers = Array.from({ length: n }, (_, i) => i + 1);
  const chosen: number[] = [];
  while (chosen.length < count && numbers.length > 0)
    chosen.push(...numbers.splice(Math.floor(draw(chosen.length) * numbers.length), 1));
  return chosen.sort((a, b) => a - b);
}
