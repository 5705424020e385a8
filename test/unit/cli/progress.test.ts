import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { progressView } from '../../../src/cli/progress.ts';
import { formatBytes, formatCount } from '../../../src/cli/units.ts';

test('a terminal gets a bar that is taken away again', () => {
  const stderr: PassThrough & { isTTY?: boolean } = new PassThrough();
  stderr.isTTY = true;
  const view = progressView(stderr, () => expect.unreachable());
  view.step({ stage: 'weights', done: 1, total: 2 });
  view.step({ stage: 'weights', done: 1, total: 2 });
  view.clear();
  expect(String(stderr.read())).toBe(`\x1b[G\x1b[Kweights [${'#'.repeat(15)}${' '.repeat(15)}] 50%\x1b[G\x1b[K`);
});

test('elsewhere a line for each quarter', () => {
  const lines: string[] = [];
  const view = progressView(new PassThrough(), (text) => lines.push(text));
  for (let done = 0; done <= 100; done++) view.step({ stage: 'weights', done, total: 100 });
  view.step({ stage: 'packing', done: 0, total: 0 });
  view.clear();
  expect(lines).toEqual(['weights 0%', 'weights 25%', 'weights 50%', 'weights 75%', 'weights 100%', 'packing 100%']);
});

test.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1536, '1.50 KiB'],
  [20 * 1024, '20.0 KiB'],
  [2.05 * 2 ** 30, '2.05 GiB'],
  [500 * 2 ** 20, '500 MiB'],
])('%d bytes are %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

test('counts', () => expect(formatCount(1234567)).toBe('1,234,567'));
