import { expect, test } from 'vitest';
import { inOrder } from '../../../src/gatt/in-order.ts';
import { type Patience, persist } from '../../../src/gatt/retry.ts';

/** Work that ends when it is told to. */
function byHand() {
  const begun: number[] = [];
  const ends = new Map<number, { resolve: (value: string) => void; reject: (error: Error) => void }>();
  const work = (item: number) => {
    begun.push(item);
    return new Promise<string>((resolve, reject) => ends.set(item, { resolve, reject }));
  };
  const tick = () => new Promise((next) => setImmediate(next));
  const end = (item: number) => {
    ends.get(item)?.resolve(`r${item}`);
    return tick();
  };
  return { begun, work, end, ends, tick };
}

async function collect(results: AsyncIterable<string>, into: string[]): Promise<void> {
  for await (const result of results) into.push(result);
}
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i);

test('a bounded number runs, and results come in the order of the items', async () => {
  const { begun, work, end, tick } = byHand();
  const results: string[] = [];
  const all = collect(inOrder(upTo(5), 2, work), results);
  await tick();
  expect(begun).toEqual([0, 1]);
  await end(1);
  expect([begun, results]).toEqual([[0, 1, 2], []]);
  await end(2);
  await end(0);
  expect([begun, results]).toEqual([
    [0, 1, 2, 3, 4],
    ['r0', 'r1', 'r2'],
  ]);
  await end(4);
  await end(3);
  await all;
  expect(results).toEqual(['r0', 'r1', 'r2', 'r3', 'r4']);
});

test('no more than four times the limit are begun before the oldest is done', async () => {
  const { begun, work, end, tick } = byHand();
  const results: string[] = [];
  void collect(inOrder(upTo(100), 2, work), results);
  await tick();
  for (let item = 1; item < 20; item++) await end(item);
  expect(begun).toEqual(upTo(8));
  await end(0);
  expect(results).toHaveLength(8);
  expect(begun).toHaveLength(10);
});

test('a failure is thrown after all before it, and nothing is begun after it', async () => {
  const { begun, work, end, ends, tick } = byHand();
  const results: string[] = [];
  const thrown = expect(collect(inOrder(upTo(9), 3, work), results)).rejects.toThrow('one');
  await tick();
  ends.get(1)?.reject(new Error('one'));
  await tick();
  await end(2);
  expect([begun, results]).toEqual([[0, 1, 2], []]);
  await end(0);
  await thrown;
  expect([begun, results]).toEqual([[0, 1, 2], ['r0']]);
});

const quick: Patience = { tries: 4, firstWaitMs: 1, longestWaitMs: 3 };

test('waits grow up to a longest, which an asked one keeps to as well, and tries end', async () => {
  const waits: number[] = [];
  let tried = 0;
  const fail = async () => {
    tried++;
    throw new Error(`try ${tried}`);
  };
  const never = new AbortController().signal;
  const again = persist(
    fail,
    quick,
    () => undefined,
    never,
    (_error, ms) => waits.push(ms),
  );
  await expect(again).rejects.toThrow('try 4');
  expect(waits).toEqual([1, 2, 3]);
  const asked = persist(
    fail,
    quick,
    () => 5,
    never,
    (_error, ms) => waits.push(ms),
  );
  await expect(asked).rejects.toThrow('try 8');
  expect(waits.slice(3)).toEqual([3, 3, 3]);
  await expect(
    persist(
      fail,
      quick,
      () => null,
      never,
      () => expect.unreachable(),
    ),
  ).rejects.toThrow('try 9');
});

test('an abort ends a wait', async () => {
  const stop = new AbortController();
  const work = persist(
    () => Promise.reject(new Error('busy')),
    { ...quick, firstWaitMs: 1e8, longestWaitMs: 1e8 },
    () => undefined,
    stop.signal,
    () => stop.abort(),
  );
  await expect(work).rejects.toMatchObject({ name: 'AbortError' });
});
