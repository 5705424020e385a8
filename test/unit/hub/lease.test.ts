import { existsSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { evict, takeLease } from '../../../src/hub/lease.ts';
import { temporary } from '../../temporary.ts';
import { listing } from './rig.ts';

const patient = { renew: 5, stale: 60_000 };
const soon = { renew: 5, stale: 30 };
const never = new AbortController().signal;
const unsettled = async () => false;

test('one holder at a time, the next when it lets go', async () => {
  const path = join(temporary(), 'lock');
  let holders = 0;
  let most = 0;
  const work = async () => {
    const release = await takeLease(path, patient, never, unsettled);
    most = Math.max(most, ++holders);
    await setTimeout(10);
    holders--;
    await release?.();
  };
  await Promise.all(Array.from({ length: 6 }, work));
  expect(most).toBe(1);
  expect(existsSync(path)).toBe(false);
});

test('a holder renews', async () => {
  const path = join(temporary(), 'lock');
  const release = await takeLease(path, patient, never, unsettled);
  utimesSync(path, 0, 0);
  await expect.poll(() => statSync(path).mtimeMs).toBeGreaterThan(0);
  await release?.();
});

test('what a dead holder left is taken away by one of those who wait', async () => {
  const folder = temporary();
  const path = join(folder, 'lock');
  writeFileSync(path, '');
  const leases = await Promise.all([
    takeLease(path, soon, never, unsettled).then(async (release) => release?.()),
    takeLease(path, soon, never, unsettled).then(async (release) => release?.()),
  ]);
  expect(leases).toHaveLength(2);
  expect(listing(folder)).toEqual([]);
});

test('nothing left to do ends the wait without a lease', async () => {
  const path = join(temporary(), 'lock');
  writeFileSync(path, '');
  let asked = 0;
  expect(await takeLease(path, patient, never, async () => ++asked === 3)).toBeNull();
  expect(existsSync(path)).toBe(true);
});

test('a stop ends the wait', async () => {
  const path = join(temporary(), 'lock');
  writeFileSync(path, '');
  const stop = new AbortController();
  const wait = takeLease(path, patient, stop.signal, async () => {
    stop.abort(new Error('stopped'));
    return false;
  });
  await expect(wait).rejects.toThrow('stopped');
});

test("a holder that lost its lease leaves its successor's alone", async () => {
  const folder = temporary();
  const path = join(folder, 'lock');
  const release = await takeLease(path, { renew: 60_000, stale: 60_000 }, never, unsettled);
  const successor = await takeLease(path, soon, never, unsettled);
  await release?.();
  expect(listing(folder)).toEqual(['lock']);
  await successor?.();
  expect(listing(folder)).toEqual([]);
});

test('a lease that was renewed since it was looked at is given back', async () => {
  const folder = temporary();
  const path = join(folder, 'lock');
  const release = await takeLease(path, patient, never, unsettled);
  await evict(path, 'as it was seen before');
  expect(listing(folder)).toEqual(['lock']);
  await release?.();
  expect(listing(folder)).toEqual([]);
  await evict(path, 'as it was seen before');
  expect(listing(folder)).toEqual([]);
});
