// Log-probabilities of random text over the native engine: most of its tokens are single bytes that make no character.
import { expect, test } from 'vitest';
import { fixture, type RealServer, realServer } from './real-engine.ts';

interface TextChoice {
  text: string;
  logprobs: { tokens: string[]; top_logprobs: (object | null)[]; text_offset: number[] };
}

interface Entry {
  token: string;
  bytes: number[];
}

interface ChatChoice {
  message: { content: string };
  logprobs: { content: (Entry & { top_logprobs: Entry[] })[] };
}

const special = new Set(['<unk>', '<s>', '</s>']);
const seeds = Array.from({ length: 40 }, (_, k) => 7 + 1000 * k);
/** <0xE2> <0x82>: two thirds of a euro sign. */
const unfinished = [3 + 0xe2, 3 + 0x82];

async function choice<Choice>({ post }: RealServer, path: string, fields: object): Promise<Choice> {
  const response = await post(path, { model: 'm', temperature: 1.5, max_tokens: 40, ...fields });
  return ((await response.json()) as { choices: [Choice] }).choices[0];
}

/** A spelling back to its bytes. */
function bytesOf(token: string, prefix: string): Buffer {
  if (special.has(token)) return Buffer.alloc(0);
  const escapes = token.startsWith(`${prefix}\\x`) ? token.slice(prefix.length) : null;
  return escapes === null ? Buffer.from(token) : Buffer.from(escapes.replaceAll('\\x', ''), 'hex');
}

test('completions: tokens join to the text, and an offset is that of the character that holds the first byte', async () => {
  const server = await realServer(fixture('mha-rope10k'));
  for (const seed of seeds) {
    const { text, logprobs } = await choice<TextChoice>(server, '/v1/completions', { prompt: 'x', logprobs: 0, seed });
    const pieces = logprobs.tokens.map((token) => bytesOf(token, 'bytes:'));
    expect(Buffer.concat(pieces).toString()).toBe(text);
    const offsets = pieces.map((piece, k) => {
      const start = Buffer.concat([...pieces.slice(0, k), piece.subarray(0, 1)]).toString();
      return [...start].length - Math.min(piece.length, 1);
    });
    expect(logprobs.text_offset).toEqual(offsets);
  }
});

test.each([
  ['an echo', { prompt: 'x €', echo: true }],
  ['an answer whose first space is dropped', { prompt: '' }],
  ['an echo that ends inside a character', { prompt: [1, 40, ...unfinished], echo: true }],
  ['several prompts', { prompt: ['a b', 'c'], echo: true, n: 2 }],
  ['a stop string', { prompt: 'x', stop: ['e', ' '], max_tokens: 100 }],
])('completions, %s: each token is found at its offset', async (_name, fields) => {
  const server = await realServer(fixture('mha-rope10k'));
  for (const seed of seeds) {
    const { text, logprobs } = await choice<TextChoice>(server, '/v1/completions', { logprobs: 0, seed, ...fields });
    const characters = [...text];
    logprobs.tokens.forEach((token, k) => {
      const start = logprobs.text_offset[k] as number;
      const isDropped = token.startsWith(' ') && start === 0 && !text.startsWith(' ');
      const whole = !token.startsWith('bytes:') && !special.has(token);
      const shown = [...(isDropped ? token.slice(1) : token)];
      if (whole) expect(characters.slice(start, start + shown.length)).toEqual(shown);
      else expect(start).toBeLessThanOrEqual(characters.length);
    });
  }
});

test('completions: best tokens that are no characters keep their own spellings', async () => {
  const server = await realServer(fixture('mha-rope10k'));
  const { logprobs } = await choice<TextChoice>(server, '/v1/completions', { prompt: 'x', logprobs: 20, seed: 1 });
  const spellings = logprobs.top_logprobs.flatMap((top) => Object.keys(top ?? {}));
  expect(spellings).not.toContain('\ufffd');
  expect(new Set(spellings.filter((token) => /^bytes:\\x[89a-f][0-9a-f]$/.test(token))).size).toBeGreaterThan(20);
});

test('chat: bytes join to the text, and a token is spelled as its bytes are', async () => {
  const server = await realServer(fixture('mha-rope10k'), {}, 'llama-2');
  for (const seed of seeds) {
    const fields = { messages: [{ role: 'user', content: 'Hi 👋🏽' }], logprobs: true, top_logprobs: 20, seed };
    const { message, logprobs } = await choice<ChatChoice>(server, '/v1/chat/completions', fields);
    expect(Buffer.from(logprobs.content.flatMap(({ bytes }) => bytes)).toString()).toBe(message.content);
    for (const { token, bytes } of logprobs.content.flatMap((entry) => [entry, ...entry.top_logprobs]))
      expect([...bytesOf(token, '')]).toEqual(bytes);
  }
});
