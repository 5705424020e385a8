// Characters that no text uses by agreement, for marks inside strings that will be read again.
import { randomInt } from 'node:crypto';
import { TextError } from './types.ts';

const FIRST = 0xe000;
const COUNT = 0x1900; // U+E000..U+F8FF
const PRIVATE = /[\ue000-\uf8ff]/g;

/** `count` different private-use characters that occur in none of the texts. */
export function unusedCharacters(count: number, texts: readonly string[]): string[] {
  const used = new Uint8Array(COUNT);
  for (const text of texts) for (const [character] of text.matchAll(PRIVATE)) used[character.charCodeAt(0) - FIRST] = 1;
  const unused: string[] = [];
  for (let i = 0; i < COUNT && unused.length < count; i++) if (!used[i]) unused.push(String.fromCharCode(FIRST + i));
  if (unused.length < count)
    throw new TextError('The messages use every private-use character (U+E000 to U+F8FF); leave some out.');
  return unused;
}

/** A string that nobody can guess (over 100 bits). */
export function secretMark(): string {
  return Array.from({ length: 9 }, () => String.fromCharCode(FIRST + randomInt(COUNT))).join('');
}
