// Repeatable random text over what tokenizers find hard: spaces, digits, scripts, emoji, combining marks, special-token look-alikes.

/** Numbers in [0, 1) from a seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const PARTS = [
  ' ',
  '  ',
  '    ',
  '\n',
  '\t',
  '\r\n',
  '▁',
  'the',
  ' and',
  'Hello',
  'llama',
  'ing',
  '0',
  '42',
  '3.14',
  ',',
  '"',
  '`',
];
const HARD = [
  'é',
  'é',
  'ß',
  'Привет',
  '日本語',
  'สวัสดี',
  '🦙',
  '👩‍👩‍👧',
  '\u0000',
  '\uFEFF',
  '\u00AD',
  '\uFFFD',
  '\u{10FFFF}',
  '\uE000',
];
const MARKUP = ['<s>', '</s>', '<unk>', '<0x0A>', '[INST]', '<|eot_id|>', '<|im_end|>', '<', '>', '|', '/s>', '<s'];

export function randomText(next: () => number, options: { markup: boolean }): string {
  const parts = options.markup ? [...PARTS, ...HARD, ...MARKUP] : [...PARTS, ...HARD];
  const length = Math.floor(next() * 20);
  return Array.from({ length }, () => {
    if (next() < 0.8) return parts[Math.floor(next() * parts.length)] as string;
    const point = Math.floor(next() * 0x30000);
    return String.fromCodePoint(point >= 0xd800 && point < 0xe000 ? 0x20 : point);
  }).join('');
}
