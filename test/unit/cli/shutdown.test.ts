import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Io, Signal } from '../../../src/cli/io.ts';
import { untilStopped } from '../../../src/cli/shutdown.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => void vi.useRealTimers());

function signals() {
  let listener: (signal: Signal) => void = () => {};
  const onSignal = (given: (signal: Signal) => void) => {
    listener = given;
    return () => {};
  };
  const io: Io = { env: {}, stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough(), onSignal };
  return { io, send: (signal: Signal) => listener(signal) };
}

test('the first signal drains, and its end is the end', async () => {
  const { io, send } = signals();
  const seen: Signal[] = [];
  const stopped = untilStopped(io, async (signal) => void seen.push(signal));
  send('SIGTERM');
  expect(await stopped).toBe(true);
  expect(seen).toEqual(['SIGTERM']);
});

test('a second signal does not wait for the drain', async () => {
  const { io, send } = signals();
  const stopped = untilStopped(io, () => new Promise(() => {}));
  send('SIGINT');
  vi.advanceTimersByTime(500);
  send('SIGINT');
  expect(await stopped).toBe(false);
});

test('one Ctrl-C that arrives twice, from the terminal and from npm, is one', async () => {
  const { io, send } = signals();
  let drained = () => {};
  const drain = new Promise<void>((done) => {
    drained = done;
  });
  const stopped = untilStopped(io, () => drain);
  send('SIGINT');
  vi.advanceTimersByTime(5);
  send('SIGINT');
  drained();
  expect(await stopped).toBe(true);
});

test('a drain that fails is an error', async () => {
  const { io, send } = signals();
  const stopped = untilStopped(io, () => Promise.reject(new Error('stuck')));
  send('SIGTERM');
  await expect(stopped).rejects.toThrow('stuck');
});
