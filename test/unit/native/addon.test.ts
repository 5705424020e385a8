// The .node file by its contract, with a model that has no weights: verbs after close, callbacks that throw, and every way
// for a process or a worker to end around a running engine.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { fakeEngineOptions, greedySequence as request } from '../../../bench/fake-engine.ts';
import { EventKind, FinishCode, loadAddon, type NativeEngine, type StepEvents } from '../../../src/native/addon.ts';

const addon = loadAddon();
const engines: NativeEngine[] = [];
const kinds = { synchronous: false, asynchronous: true };

interface Told {
  tokens: number[];
  finish: number;
}

async function create(asynchronous = false, stepMicroseconds = 200) {
  const told = new Map<number, Told>();
  const onStep = (events: StepEvents): void => {
    events.ids.forEach((id, i) => {
      const one = told.get(id) ?? { tokens: [], finish: -1 };
      told.set(id, one);
      if (events.kinds[i] === EventKind.Token) one.tokens.push(events.a[i] as number);
      if (events.kinds[i] === EventKind.Finish) one.finish = events.a[i] as number;
    });
  };
  const fake = { vocabSize: 1000, stepMicroseconds, maxModelLen: 100_000, asynchronous };
  const engine = await addon.createEngine(fakeEngineOptions(fake), onStep, () => {});
  engines.push(engine);
  return { engine, told };
}

afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.close()));
});

describe('close', () => {
  it.each(Object.entries(kinds))('ends every sequence as cancelled and refuses the rest (%s)', async (_name, asynchronous) => {
    const { engine, told } = await create(asynchronous);
    const ids = [1, 2, 3].map(() => engine.submit(request(50_000)));
    await engine.stats();
    await engine.close();
    for (const id of ids) expect(told.get(id)?.finish).toBe(FinishCode.Cancelled);
    expect(() => engine.submit(request(1))).toThrow('the engine is closed');
    expect(() => engine.mask(1, 3, new Uint32Array(32))).toThrow('the engine is closed');
    await expect(engine.stats()).rejects.toThrow('the engine is closed');
    expect(engine.cancel(1)).toBeUndefined();
  });

  it('answers or rejects every stats() that is pending', async () => {
    const { engine } = await create();
    engine.submit(request(50_000));
    const asked = Array.from({ length: 50 }, () =>
      engine.stats().then(
        () => 'answered',
        () => 'rejected',
      ),
    );
    await engine.close();
    expect(await Promise.all(asked)).toHaveLength(50);
  });

  it('called twice resolves when the loop has ended, both times', async () => {
    const { engine, told } = await create(false, 20_000);
    const id = engine.submit(request(1000));
    await engine.stats();
    engine.close();
    await engine.close();
    expect(told.get(id)?.finish).toBe(FinishCode.Cancelled);
  });

  it('of one engine while others are created', async () => {
    const made = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const { engine } = await create(true);
        engine.submit(request(1000));
        await engine.close();
        return create();
      }),
    );
    for (const { engine, told } of made) {
      const id = engine.submit(request(3));
      while ((told.get(id)?.finish ?? -1) < 0) await engine.stats();
      expect(told.get(id)?.tokens).toHaveLength(3);
    }
  });
});

describe('arguments', () => {
  it.each([
    [{ salt: new Uint8Array(15) }, 'salt must be 16 bytes'],
    [{ biasIds: Uint32Array.of(1) }, 'biasValues must be as long as biasIds'],
    [{ tokens: Uint32Array.of(4_294_967_295) }, 'token -1 is outside the vocabulary'],
    [{ maxTokens: 2_147_483_647 }, 'the model takes 100000 together'],
    [{ maxTokens: 2 ** 40 }, 'maxTokens must be a 32-bit integer'],
    [{ temperature: Number.NaN }, 'sampling parameters must be finite'],
    [{ tokens: [1] as unknown as Uint32Array }, 'tokens must be a Uint32Array'],
  ])('%o is refused', async (change, message) => {
    const { engine } = await create();
    expect(() => engine.submit(request(5, change))).toThrow(message);
  });

  it.each([
    [{ maxModelLen: 2_147_483_647 }, 'are more than'],
    [{ stepMicroseconds: -1 }, 'sizes must be positive'],
    [{ maxModelLen: 0 }, 'positive'],
  ])('a fake model of %o is refused', async (change, message) => {
    const fake = { vocabSize: 10, stepMicroseconds: 0, maxModelLen: 100, asynchronous: false, ...change };
    const create = async () =>
      addon.createEngine(
        fakeEngineOptions(fake),
        () => {},
        () => {},
      );
    await expect(create()).rejects.toThrow(message);
  });

  it('a method of another object is refused', async () => {
    const { engine } = await create();
    expect(() => engine.submit.call({} as NativeEngine, request(1))).toThrow();
    const Engine = engine.constructor as new () => NativeEngine;
    expect(() => new Engine()).toThrow('made by createEngine()');
  });
});

interface Ending {
  code: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
}

function run(scenario: string, asynchronous: boolean): Promise<Ending> {
  const file = fileURLToPath(new URL('scenario.mjs', import.meta.url));
  const args = ['--expose-gc', file, scenario, asynchronous ? 'asynchronous' : ''];
  return new Promise((resolve) => {
    const child = execFile(process.execPath, args, { timeout: 50_000 }, (_error, stdout, stderr) => {
      resolve({ code: child.exitCode, signal: child.signalCode, stdout: stdout.trim(), stderr });
    });
  });
}

describe.each(Object.entries(kinds))('a process with an engine (%s)', (_name, asynchronous) => {
  it.each(['exitWhileStreaming', 'exitInsideTheCallback', 'exitWhileLoading', 'exitWhileClosing'])('%s', async (scenario) => {
    expect(await run(scenario, asynchronous)).toMatchObject({ code: 3, signal: null, stderr: '' });
  });

  it.each([
    ['throwsElsewhere', 'Error: thrown elsewhere'],
    ['callbackThrows', 'Error: thrown by onStep'],
  ])('%s', async (scenario, message) => {
    const ending = await run(scenario, asynchronous);
    expect(ending).toMatchObject({ signal: null, stderr: expect.stringContaining(message) });
    expect(ending.code).not.toBe(0);
  });

  it.each([
    ['callbackThrowsAndIsCaught', 'caught true, finished 4'],
    ['endsWithoutClose', '0'],
    ['endsWhenTheRequestDoes', '200 tokens'],
    ['endsAfterClose', 'closed'],
    ['collected', 'collected'],
    ['workersTerminated', 'terminated'],
  ])('%s', async (scenario, stdout) => {
    expect(await run(scenario, asynchronous)).toMatchObject({ code: 0, signal: null, stdout, stderr: '' });
  });
});
