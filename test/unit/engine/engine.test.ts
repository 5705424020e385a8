import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createEngine, type TextEngine } from '../../../src/engine/engine.ts';
import { type Delta, EngineError, type GenerateRequest } from '../../../src/engine/types.ts';
import { traitsOf } from '../../../src/text/conversation/traits.ts';
import { type ChatTemplate, TextError } from '../../../src/text/types.ts';
import { type FakeNative, type FakeScript, fakeAddon, fakeLogprob } from './fake-native.ts';
import { OPTIONS, request as requestOf } from './fixtures.ts';
import { Random } from './random.ts';
import { type Piece, TableTokenizer } from './table-tokenizer.ts';

const BOS = 0;
const EOS = 1;
/** Ids 2.. are the letters a-z; then the three bytes of 你, a piece with a leading space, and one more special token. */
const LETTERS = [...'abcdefghijklmnopqrstuvwxyz'];
const PIECES: Piece[] = [null, null, ...LETTERS, ...[0xe4, 0xbd, 0xa0].map((byte) => Uint8Array.of(byte)), ' once', null];
const letter = (name: string): number => 2 + LETTERS.indexOf(name);
const [BYTE1, BYTE2, BYTE3, ONCE, PAD] = [28, 29, 30, 31, 32] as const;

const request = (fields: Partial<GenerateRequest> = {}): GenerateRequest =>
  requestOf({ tokens: Uint32Array.of(BOS, letter('a')), ...fields });

async function setUp(script: Partial<FakeScript> | readonly number[]): Promise<{ engine: TextEngine; native: FakeNative }> {
  const alphabet = (_: unknown, position: number): number => 2 + (position % 26);
  const scripted = (list: readonly number[]): FakeScript => ({ token: (_, position) => list[position] ?? EOS });
  const addon = fakeAddon(Array.isArray(script) ? scripted(script) : { token: alphabet, ...(script as Partial<FakeScript>) });
  const tokenizer = new TableTokenizer(PIECES, true);
  const engine = await createEngine({
    addon,
    options: OPTIONS,
    tokenizer,
    template: null,
    eosTokenIds: [EOS],
    onProgress() {},
  });
  return { engine, native: addon.native() };
}

const never = new AbortController().signal;

/** A generation with its first next() under way: submitted, nothing come yet. */
function begin(engine: TextEngine, fields: Partial<GenerateRequest> = {}, signal: AbortSignal = never) {
  const iterator = engine.generate(request(fields), signal)[Symbol.asyncIterator]();
  return { iterator, first: iterator.next() };
}

const finish = (fields: Partial<NonNullable<Delta['finish']>> = {}): Delta['finish'] => ({
  reason: 'stop',
  promptTokens: 2,
  completionTokens: 0,
  cachedTokens: 0,
  ...fields,
});

const delta = (fields: Partial<Delta>): IteratorResult<Delta> => ({
  done: false,
  value: { text: '', logprobs: [], promptLogprobs: null, finish: null, ...fields },
});

const scored = (id: number, numTop: number) => ({
  id,
  logprob: fakeLogprob(id),
  top: Array.from({ length: numTop }, (_, k) => ({ id: id + 1 + k, logprob: fakeLogprob(id + 1 + k) })),
});

describe('deltas', () => {
  it('merges all tokens of a wake-up, and all that came while nobody asked', async () => {
    const { engine, native } = await setUp({});
    const { iterator, first } = begin(engine, { maxTokens: 9 });
    native.tick(3);
    native.tick(2);
    expect(await first).toEqual(delta({ text: 'abc' }));
    expect(await iterator.next()).toEqual(delta({ text: 'de' }));
    native.tick(2);
    native.tick(2);
    expect(await iterator.next()).toEqual(delta({ text: 'fghi', finish: finish({ reason: 'length', completionTokens: 9 }) }));
    expect(await iterator.next()).toEqual({ value: undefined, done: true });
    expect(engine.numLive).toBe(0);
  });

  it('keeps interleaved sequences apart and in order', async () => {
    const { engine, native } = await setUp({ token: (submitted, position) => (submitted.tokens[1] as number) + position });
    const all = ['a', 'h', 'p'].map((name) => begin(engine, { tokens: Uint32Array.of(BOS, letter(name)), maxTokens: 4 }));
    native.tick(1);
    expect(await Promise.all(all.map(({ first }) => first))).toEqual(['a', 'h', 'p'].map((text) => delta({ text })));
    native.tick(3);
    const last = await Promise.all(all.map(({ iterator }) => iterator.next()));
    expect(last.map(({ value }) => value.text)).toEqual(['bcd', 'ijk', 'qrs']);
  });

  it('counts the stop token, and names what the prefix cache gave', async () => {
    const { engine, native } = await setUp({ token: (_, position) => (position < 2 ? letter('x') : EOS), cachedTokens: 1 });
    const { first } = begin(engine);
    native.tick(5);
    expect(await first).toEqual(delta({ text: 'xx', finish: finish({ completionTokens: 3, cachedTokens: 1 }) }));
  });

  it('says nothing for special tokens, and counts them', async () => {
    const { engine, native } = await setUp([letter('x'), PAD, letter('y')]);
    const { iterator, first } = begin(engine, { maxTokens: 3 });
    native.tick();
    expect(await first).toEqual(delta({ text: 'x' }));
    const second = iterator.next();
    native.tick();
    native.tick();
    expect(await second).toEqual(delta({ text: 'y', finish: finish({ reason: 'length', completionTokens: 3 }) }));
  });

  it('waits for a whole character, and ends an unfinished one with U+FFFD', async () => {
    const { engine, native } = await setUp([BYTE1, BYTE2, BYTE3, BYTE1]);
    const { iterator, first } = begin(engine, { maxTokens: 4 });
    for (let k = 0; k < 3; k++) native.tick();
    expect(await first).toEqual(delta({ text: '你' }));
    native.tick();
    expect(await iterator.next()).toEqual(delta({ text: '\ufffd', finish: finish({ reason: 'length', completionTokens: 4 }) }));
  });

  it('keeps the leading space of a continuation, and drops that of a document', async () => {
    const { engine, native } = await setUp([ONCE, ONCE]);
    const continued = begin(engine, { maxTokens: 2 });
    const document = begin(engine, { maxTokens: 2, tokens: Uint32Array.of(BOS) });
    native.tick(2);
    expect((await continued.first).value.text).toBe(' once once');
    expect((await document.first).value.text).toBe('once once');
    expect(engine.decode(Uint32Array.of(BOS, ONCE, PAD, ONCE, BYTE1))).toBe('once once\ufffd');
  });
});

describe('log-probabilities', () => {
  it('come with the text of their tokens', async () => {
    const { engine, native } = await setUp([letter('a'), BYTE1, BYTE2, BYTE3, letter('b')]);
    const { iterator, first } = begin(engine, { maxTokens: 5, logprobs: 2 });
    native.tick(2);
    expect(await first).toEqual(delta({ text: 'a', logprobs: [scored(letter('a'), 2)] }));
    const second = iterator.next();
    native.tick();
    native.tick();
    expect(await second).toEqual(delta({ text: '你', logprobs: [BYTE1, BYTE2, BYTE3].map((id) => scored(id, 2)) }));
    native.tick();
    const last = await iterator.next();
    expect(last.value.logprobs).toEqual([scored(letter('b'), 2)]);
  });

  it('of the prompt come whole, once, on the first delta', async () => {
    const { engine, native } = await setUp({});
    const tokens = Uint32Array.of(BOS, letter('q'), letter('r'));
    const { iterator, first } = begin(engine, { tokens, maxTokens: 2, promptLogprobs: 1, logprobs: 0 });
    native.tick();
    const promptLogprobs = [{ id: BOS, logprob: null, top: [] }, scored(letter('q'), 1), scored(letter('r'), 1)];
    expect(await first).toEqual(delta({ text: 'a', logprobs: [scored(letter('a'), 0)], promptLogprobs }));
    native.tick();
    expect((await iterator.next()).value.promptLogprobs).toBeNull();
  });

  it('of the prompt come alone when nothing is generated', async () => {
    const { engine, native } = await setUp({});
    const { first } = begin(engine, { maxTokens: 0, promptLogprobs: 0 });
    native.tick();
    const promptLogprobs = [{ id: BOS, logprob: null, top: [] }, scored(letter('a'), 0)];
    expect(await first).toEqual(delta({ promptLogprobs, finish: finish({ reason: 'length' }) }));
  });

  it('stay aligned for a sequence whose neighbours in the batch are gone, scored or not', async () => {
    const { engine, native } = await setUp({ stepsAfterCancel: 2 });
    const gone = begin(engine, { logprobs: 3, promptLogprobs: 2 });
    const plain = begin(engine, { maxTokens: 2 });
    const kept = begin(engine, { maxTokens: 2, logprobs: 1, promptLogprobs: 1 });
    await gone.iterator.return?.();
    expect(await gone.first).toEqual({ value: undefined, done: true });
    native.tick(2);
    const { value } = await kept.first;
    expect(value.logprobs).toEqual([scored(letter('a'), 1), scored(letter('b'), 1)]);
    expect(value.promptLogprobs).toEqual([{ id: BOS, logprob: null, top: [] }, scored(letter('a'), 1)]);
    expect((await plain.first).value.logprobs).toEqual([]);
  });
});

describe('stop strings', () => {
  it('match across batches; what comes later is dropped and the sequence cancelled', async () => {
    const { engine, native } = await setUp({ cachedTokens: 1 });
    const { iterator, first } = begin(engine, { stop: ['def'], logprobs: 0 });
    native.tick(4);
    expect(await first).toEqual(delta({ text: 'abc', logprobs: ['a', 'b', 'c'].map((name) => scored(letter(name), 0)) }));
    const last = iterator.next();
    native.tick(3);
    expect(native.cancelled).toEqual([1]);
    native.tick();
    expect(await last).toEqual(delta({ finish: finish({ completionTokens: 6, cachedTokens: 1 }) }));
    expect(native.cancelled).toEqual([1]);
    expect(engine.numLive).toBe(0);
    expect(native.numRunning).toBe(0);
  });

  it('outweigh a length or an end-of-sequence that came in the same batch', async () => {
    const { engine, native } = await setUp([letter('a'), letter('b'), letter('c'), EOS]);
    const length = begin(engine, { stop: ['b'], maxTokens: 3 });
    const eos = begin(engine, { stop: ['b'] });
    native.tick(4);
    expect(await length.first).toEqual(delta({ text: 'a', finish: finish({ completionTokens: 2 }) }));
    expect(await eos.first).toEqual(delta({ text: 'a', finish: finish({ completionTokens: 2 }) }));
  });

  it('that stay incomplete are text', async () => {
    const { engine, native } = await setUp([letter('a'), letter('b'), EOS]);
    const { first } = begin(engine, { stop: ['bc'] });
    native.tick(3);
    expect(await first).toEqual(delta({ text: 'ab', finish: finish({ completionTokens: 3 }) }));
  });
});

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

describe('submission', () => {
  it('translates a request', async () => {
    const { engine, native } = await setUp({});
    const fields = { seed: -1n, logprobs: 3, promptLogprobs: 0, logitBias: new Map([[5, -100]]), stopTokenIds: [7, EOS, 7] };
    void begin(engine, fields);
    void begin(engine, { ignoreEos: true, stopTokenIds: [7] });
    void begin(engine);
    const [first, second, third] = native.submitted;
    expect(first).toMatchObject({ seed: 2n ** 64n - 1n, logprobs: 3, promptLogprobs: 0, constrained: false });
    expect(first?.biasIds).toEqual(Uint32Array.of(5));
    expect(first?.biasValues).toEqual(Float32Array.of(-100));
    expect(first?.stopTokenIds).toEqual(Uint32Array.of(7, EOS));
    expect(second).toMatchObject({ logprobs: -1, promptLogprobs: -1 });
    expect(second?.stopTokenIds).toEqual(Uint32Array.of(7));
    expect(second?.seed).not.toBe(third?.seed);
  });

  it('prepares a raw prompt, and refuses a chat without a template', async () => {
    const { engine } = await setUp({});
    expect(await engine.prepareText('ab')).toEqual({
      ids: Uint32Array.of(BOS, letter('a'), letter('b')),
      spans: [{ start: 0, end: 3, message: 0, textEnd: 2 }],
    });
    await expect(engine.prepareChat({ messages: [], addGenerationPrompt: true })).rejects.toBeInstanceOf(TextError);
  });
});

describe('a chat', () => {
  it('is rendered by the template and encoded with its control tokens', async () => {
    const render: ChatTemplate['render'] = ({ messages }) =>
      `<${BOS}>q${messages.map(({ content }) => content).join('')}<${EOS}>`;
    const template = { source: '', traits: traitsOf(render), render };
    const tokenizer = new TableTokenizer(PIECES, true);
    const addon = fakeAddon({ token: () => EOS });
    const engine = await createEngine({ addon, options: OPTIONS, tokenizer, template, eosTokenIds: [EOS], onProgress() {} });
    const { ids } = await engine.prepareChat({ messages: [{ role: 'user', content: 'ab' }], addGenerationPrompt: true });
    expect(ids).toEqual(Uint32Array.of(BOS, letter('q'), letter('a'), letter('b'), EOS));
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
