// How generations end, and what is left of them.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { EngineError } from '../../../src/engine/types.ts';
import { Random } from './random.ts';
import { begin, delta, LETTERS, never, request, setUp } from './scripted-engine.ts';

describe('abort', () => {
  const reason = new Error('the client went away');

  it('before the first delta is asked for submits nothing', async () => {
    const { engine, native } = await setUp({});
    await expect(begin(engine, {}, AbortSignal.abort(reason)).first).rejects.toBe(reason);
    expect(native.submitted).toHaveLength(0);
  });

  it('wakes a waiting consumer and cancels', async () => {
    const { engine, native } = await setUp({});
    const controller = new AbortController();
    const { iterator, first } = begin(engine, {}, controller.signal);
    controller.abort(reason);
    await expect(first).rejects.toBe(reason);
    expect(await iterator.next()).toEqual({ value: undefined, done: true });
    expect(native.cancelled).toEqual([1]);
    expect(engine.numLive).toBe(0);
    native.tick(3);
    expect(native.numRunning).toBe(0);
  });

  it('between two deltas throws at the next one, and drops what had come', async () => {
    const { engine, native } = await setUp({});
    const controller = new AbortController();
    const { iterator, first } = begin(engine, {}, controller.signal);
    native.tick();
    await first;
    native.tick();
    controller.abort(reason);
    expect(native.cancelled).toEqual([1]);
    await expect(iterator.next()).rejects.toBe(reason);
    expect(await iterator.next()).toEqual({ value: undefined, done: true });
  });

  it('after the last delta changes nothing', async () => {
    const { engine, native } = await setUp({});
    const controller = new AbortController();
    const { iterator, first } = begin(engine, { maxTokens: 1 }, controller.signal);
    native.tick();
    await first;
    controller.abort(reason);
    expect(native.cancelled).toEqual([]);
    expect(await iterator.next()).toEqual({ value: undefined, done: true });
  });

  it('of one signal ends all choices that share it, without a warning', async () => {
    const { engine, native } = await setUp({});
    const warnings: Error[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning);
    process.on('warning', onWarning);
    const controller = new AbortController();
    const all = Array.from({ length: 128 }, () => begin(engine, {}, controller.signal).first);
    controller.abort(reason);
    for (const first of all) await expect(first).rejects.toBe(reason);
    await nextTurn();
    process.off('warning', onWarning);
    expect(native.cancelled).toHaveLength(128);
    expect(warnings).toEqual([]);
  });
});

describe('consumers', () => {
  it('that break cancel the sequence', async () => {
    const { engine, native } = await setUp({ auto: true });
    let text = '';
    for await (const { text: piece } of engine.generate(request(), never)) {
      text += piece;
      if (text.length > 3) break;
    }
    expect(text.startsWith('abcd')).toBe(true);
    expect(native.cancelled).toEqual([1]);
    expect(engine.numLive).toBe(0);
  });

  it('that throw cancel the sequence', async () => {
    const { engine, native } = await setUp({ auto: true });
    const mistake = new Error('mistake');
    const consume = async (): Promise<void> => {
      for await (const _ of engine.generate(request(), never)) throw mistake;
    };
    await expect(consume()).rejects.toBe(mistake);
    expect(native.cancelled).toEqual([1]);
  });

  it('may not ask twice at once', async () => {
    const { engine, native } = await setUp({});
    const { iterator, first } = begin(engine);
    await expect(iterator.next()).rejects.toThrow('await the first result');
    native.tick();
    expect(await first).toEqual(delta({ text: 'a' }));
  });
});

describe('failures', () => {
  it('of one sequence come after its text, and spare the others', async () => {
    const { engine, native } = await setUp({});
    const failing = begin(engine, { maxTokens: 3 });
    const other = begin(engine, { maxTokens: 3 });
    native.tick();
    await failing.first;
    native.tick();
    native.fail(1, 'The logits of a row are not finite.');
    native.tick();
    expect(await failing.iterator.next()).toEqual(delta({ text: 'b' }));
    await expect(failing.iterator.next()).rejects.toThrow(new EngineError('The logits of a row are not finite.'));
    expect(await failing.iterator.next()).toEqual({ value: undefined, done: true });
    expect((await other.first).value.text).toBe('a');
    expect((await other.iterator.next()).value.text).toBe('bc');
    expect(engine.numLive).toBe(0);
    expect(native.cancelled).toEqual([]);
  });

  it('of the same batch keep their own messages', async () => {
    const { engine, native } = await setUp({});
    const all = Array.from({ length: 3 }, () => begin(engine));
    await all[0]?.iterator.return?.();
    for (const id of [1, 2, 3]) native.fail(id, `failure ${id}`);
    native.tick();
    await expect(all[1]?.first).rejects.toThrow(new EngineError('failure 2'));
    await expect(all[2]?.first).rejects.toThrow(new EngineError('failure 3'));
  });

  it('to submit are EngineErrors', async () => {
    const { engine } = await setUp({});
    const { first } = begin(engine, { tokens: new Uint32Array() });
    await expect(first).rejects.toBeInstanceOf(EngineError);
    await expect(first).rejects.toThrow('A prompt needs at least one token.');
    expect(engine.numLive).toBe(0);
  });

  it('are what a cancellation is that nobody asked for', async () => {
    const { engine, native } = await setUp({});
    const { first } = begin(engine);
    await native.close();
    await expect(first).rejects.toBeInstanceOf(EngineError);
    expect(engine.numLive).toBe(0);
  });
});

describe('close', () => {
  it('ends what runs and refuses what comes', async () => {
    const { engine, native } = await setUp({});
    const waiting = begin(engine);
    const idle = begin(engine);
    native.tick();
    await waiting.first;
    await idle.first;
    const pending = waiting.iterator.next();
    const closing = engine.close();
    await expect(pending).rejects.toThrow(new EngineError('The engine was closed before the sequence ended.'));
    await closing;
    await engine.close();
    await expect(idle.iterator.next()).rejects.toBeInstanceOf(EngineError);
    await expect(begin(engine).first).rejects.toThrow('no sequence can start');
    expect(native.closed).toBe(true);
    expect(engine.numLive).toBe(0);
  });
});

describe('a storm', () => {
  it('of 500 generations with random ends leaves nothing behind', async () => {
    const { engine, native } = await setUp({ auto: true });
    const random = new Random(4);
    const ends = new Map<string, number>();
    const count = (end: string): void => void ends.set(end, (ends.get(end) ?? 0) + 1);
    const run = async (k: number): Promise<void> => {
      const controller = new AbortController();
      const maxTokens = 1 + random.below(40);
      const stop = k % 5 === 0 ? ['hij'] : [];
      const abortAfter = k % 3 === 0 ? random.below(8) : -1;
      const breakAfter = k % 7 === 0 ? random.below(30) : 1000;
      if (k % 11 === 0) setImmediate(() => controller.abort(new Error('late')));
      let numDeltas = 0;
      let text = '';
      for await (const piece of engine.generate(request({ maxTokens, stop, logprobs: k % 2 ? 1 : null }), controller.signal)) {
        text += piece.text;
        if (piece.finish !== null) {
          expect(text).toBe(
            LETTERS.join('')
              .repeat(2)
              .slice(0, stop.length > 0 && maxTokens >= 10 ? 7 : maxTokens),
          );
          count('finish');
        }
        if (numDeltas++ === abortAfter) controller.abort(new Error('abort'));
        if (numDeltas > breakAfter) return count('break');
      }
    };
    const settled = await Promise.allSettled(Array.from({ length: 500 }, (_, k) => run(k)));
    const failures = settled.flatMap((result) => (result.status === 'rejected' ? [result.reason.message as string] : []));
    expect([...new Set(failures)].sort()).toEqual(['abort', 'late']);
    expect(ends.get('finish')).toBeGreaterThan(100);
    expect(ends.get('break')).toBeGreaterThan(10);
    expect(engine.numLive).toBe(0);
    while (native.numRunning > 0) await nextTurn();
    expect((await engine.stats()).freeBlocks).toBe(native.info.numBlocks);
    await engine.close();
  });
});
