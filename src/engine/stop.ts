// Stop strings across token borders, in linear time: one Knuth-Morris-Pratt automaton for each string. What is held back is
// always a prefix of a stop string, so its length says all.

/** borders[k]: length of the longest proper prefix of pattern[0, k) that is also its suffix. */
function borders(pattern: string): Int32Array {
  const table = new Int32Array(pattern.length + 1);
  for (let i = 1, k = 0; i < pattern.length; i++) {
    while (k > 0 && pattern.charCodeAt(i) !== pattern.charCodeAt(k)) k = table[k] as number;
    if (pattern.charCodeAt(i) === pattern.charCodeAt(k)) k++;
    table[i + 1] = k;
  }
  return table;
}

class Automaton {
  readonly pattern: string;
  /** Length of the longest prefix of the pattern that the text so far ends with. */
  state = 0;
  readonly #borders: Int32Array;

  constructor(pattern: string) {
    this.pattern = pattern;
    this.#borders = borders(pattern);
  }

  /** Takes one UTF-16 unit; true when the pattern ends with it. */
  step(unit: number): boolean {
    while (this.state > 0 && unit !== this.pattern.charCodeAt(this.state)) this.state = this.#borders[this.state] as number;
    if (unit === this.pattern.charCodeAt(this.state)) this.state++;
    return this.state === this.pattern.length;
  }
}

/** A lone surrogate never occurs in decoded text, and half a pair must not match. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * Finds the stop string that is complete first; of several that end together, the longest. Neither choice depends on how the
 * text was cut into pieces. Text comes in whole characters.
 */
export class StopMatcher {
  /** Longest first. */
  readonly #automata: Automaton[];
  /** The text held back is the first `state` units of this one's pattern as of the last push. */
  #holder = '';

  matched = false;

  constructor(stops: readonly string[]) {
    this.#automata = stops
      .filter((stop) => stop !== '' && !LONE_SURROGATE.test(stop))
      .sort((left, right) => right.length - left.length)
      .map((stop) => new Automaton(stop));
  }

  /** Text that is certainly before any stop string. After a match: what came before the match, then nothing. */
  push(text: string): string {
    if (this.matched) return '';
    for (let i = 0; i < text.length; i++) {
      const found = this.#step(text.charCodeAt(i));
      if (found > 0) {
        this.matched = true;
        return this.#first(this.#holder.length + i + 1 - found, text);
      }
    }
    const longest = this.#longest();
    const out = this.#first(this.#holder.length + text.length - longest.length, text);
    this.#holder = longest;
    return out;
  }

  /** No more text comes: what was held back is text after all. */
  flush(): string {
    const out = this.matched ? '' : this.#holder;
    this.#holder = '';
    return out;
  }

  /** Length of the stop string that ends with this unit, 0 for none. */
  #step(unit: number): number {
    let found = 0;
    for (const automaton of this.#automata) {
      if (automaton.step(unit) && found === 0) found = automaton.pattern.length;
    }
    return found;
  }

  /** The longest beginning of a stop string that the text ends with. */
  #longest(): string {
    let longest: Automaton | null = null;
    for (const automaton of this.#automata) {
      if (longest === null || automaton.state > longest.state) longest = automaton;
    }
    return longest === null ? '' : longest.pattern.slice(0, longest.state);
  }

  /** The first n units of what was held back followed by `text`. */
  #first(n: number, text: string): string {
    const held = this.#holder;
    return n <= held.length ? held.slice(0, n) : held + text.slice(0, n - held.length);
  }
}
