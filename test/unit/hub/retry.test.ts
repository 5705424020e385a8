import { expect, test } from 'vitest';
import { ConnectionError, StatusError } from '../../../src/hub/errors.ts';
import { type Attempts, patience, persist } from '../../../src/hub/retry.ts';

function attempts(): Attempts & { waits: [string, number][] } {
  const waits: [string, number][] = [];
  const quick = { ...patience, tries: 4, firstWait: 1, longestWait: 3, longestAsked: 10 };
  return { patience: quick, signal: new AbortController().signal, onWait: (...wait) => waits.push(wait), waits };
}

test('waits grow up to the longest, and what a server asks for goes before', async () => {
  const errors = [
    new ConnectionError('cut'),
    new StatusError(503, '', 10),
    new ConnectionError('cut'),
    new ConnectionError('end'),
  ];
  const some = attempts();
  const fails = persist(() => Promise.reject(errors.shift()), some);
  await expect(fails).rejects.toThrow('end');
  expect(some.waits).toEqual([
    ['cut', 1],
    ['HTTP 503', 10],
    ['cut', 3],
  ]);
});

test.each([
  ['a status that stays', new StatusError(404, '', null)],
  ['too long a wait', new StatusError(429, '', 11)],
  ['what is no fault of the network', new TypeError('bug')],
])('%s is not tried again', async (_what, error) => {
  const some = attempts();
  await expect(persist(() => Promise.reject(error), some)).rejects.toBe(error);
  expect(some.waits).toEqual([]);
});

test('work that gets further has its tries anew', async () => {
  let position = 0;
  const some = attempts();
  const work = () => {
    if (position === 10) return Promise.resolve('done');
    position++;
    return Promise.reject(new ConnectionError('cut'));
  };
  expect(await persist(work, some, () => position)).toBe('done');
  expect(some.waits).toHaveLength(10);
  expect(new Set(some.waits.map(([, ms]) => ms))).toEqual(new Set([1]));
});

test('a stop ends the wait', async () => {
  const stop = new AbortController();
  const slow = {
    ...attempts(),
    patience: { ...patience, firstWait: 1e6 },
    signal: stop.signal,
    onWait: () => stop.abort(new Error('stopped')),
  };
  await expect(persist(() => Promise.reject(new ConnectionError('cut')), slow)).rejects.toThrow('stopped');
});
