import { expect, test } from 'vitest';
import { retryAfterMs } from '../../src/retry-after.ts';

test.each([
  [null, null],
  ['3', 3000],
  ['0', 0],
  ['Thu, 01 Jan 1970 00:01:40 GMT', 40_000],
  ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
  ['soon', null],
  ['-1', null],
])('Retry-After %j is %j ms', (header, ms) => {
  expect(retryAfterMs(header, 60_000)).toBe(ms);
});
