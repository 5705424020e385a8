import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import type { Answerer } from '../../../src/cli/answerers.ts';
import type { Io, Signal } from '../../../src/cli/io.ts';
import { converse } from '../../../src/cli/repl.ts';
import type { Message } from '../../../src/text/types.ts';

interface Stage {
  io: Io;
  stdin: PassThrough;
  send(signal: Signal): void;
  out(): string;
  err(): string;
}

function stage(): Stage {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  let listener: (signal: Signal) => void = () => {};
  const collected = (stream: PassThrough) => {
    let text = '';
    stream.on('data', (bytes) => (text += String(bytes)));
    return () => text;
  };
  const onSignal = (given: (signal: Signal) => void) => {
    listener = given;
    return () => {};
  };
  const io: Io = { env: {}, stdin, stdout, stderr, onSignal };
  return { io, stdin, send: (signal) => listener(signal), out: collected(stdout), err: collected(stderr) };
}

/** Answers with what it was told, and remembers every conversation. */
function echo(seen: Message[][]): Answerer {
  return {
    async *answer(messages) {
      seen.push(messages);
      yield 'you said ';
      yield messages.at(-1)?.content ?? '';
    },
    async close() {},
  };
}

test('a pipe: each line is answered, the conversation grows', async () => {
  const { io, stdin, out } = stage();
  const seen: Message[][] = [];
  stdin.end('one\n\ntwo\n');
  expect(await converse(echo(seen), io, 'be brief')).toBe(0);
  expect(out()).toBe('you said one\nyou said two\n');
  expect(seen[1]).toEqual([
    { role: 'system', content: 'be brief' },
    { role: 'user', content: 'one' },
    { role: 'assistant', content: 'you said one' },
    { role: 'user', content: 'two' },
  ]);
});

test('/reset forgets all but the system message, /exit leaves, others are named', async () => {
  const { io, stdin, out, err } = stage();
  const seen: Message[][] = [];
  stdin.end('one\n/reset\ntwo\n/quit\n/exit\nthree\n');
  expect(await converse(echo(seen), io, 'S')).toBe(0);
  expect(seen.map((messages) => messages.length)).toEqual([2, 2]);
  expect(out()).toBe('you said one\nyou said two\n');
  expect(err()).toBe('Unknown command /quit; known are /exit and /reset.\n');
});

test('a failed answer is told, forgotten, and decides the exit code of a pipe', async () => {
  const { io, stdin, err } = stage();
  const seen: Message[][] = [];
  const answerer = echo(seen);
  let first = true;
  const failing: Answerer = {
    ...answerer,
    async *answer(messages, signal) {
      if (first) {
        first = false;
        throw new Error('no answer today');
      }
      yield* answerer.answer(messages, signal);
    },
  };
  stdin.end('one\ntwo\n');
  expect(await converse(failing, io, undefined)).toBe(1);
  expect(err()).toContain('gattling: no answer today');
  expect(seen).toEqual([[{ role: 'user', content: 'two' }]]);
});

test('an interrupt stops the answer and keeps what was said; the next one leaves', async () => {
  const { io, stdin, send, out } = stage();
  const answering: Answerer = {
    async *answer(_messages, signal) {
      yield 'half';
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    },
    async close() {},
  };
  const code = converse(answering, io, undefined);
  stdin.write('one\n');
  await expect.poll(out).toBe('half');
  send('SIGINT');
  await expect.poll(out).toBe('half\n');
  send('SIGINT');
  expect(await code).toBe(0);
});
