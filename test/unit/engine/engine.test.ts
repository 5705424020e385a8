// What a generation yields.
import { describe, expect, it } from 'vitest';
import { createEngine } from '../../../src/engine/engine.ts';
import type { SubmitRequest } from '../../../src/native/addon.ts';
import { traitsOf } from '../../../src/text/conversation/traits.ts';
import { type ChatTemplate, TextError } from '../../../src/text/types.ts';
import { fakeAddon } from './fake-native.ts';
import { OPTIONS } from './fixtures.ts';
import {
  BOS,
  BYTE1,
  BYTE2,
  BYTE3,
  begin,
  delta,
  EOS,
  finish,
  letter,
  ONCE,
  PAD,
  PIECES,
  scored,
  setUp,
} from './scripted-engine.ts';
import { TableTokenizer } from './table-tokenizer.ts';

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

describe('a tokenizer with more tokens than the model has embeddings', () => {
  const vocabSize = PIECES.length;
  const setUpLarger = async (token: (request: SubmitRequest) => number) => {
    const addon = fakeAddon({ token, info: { vocabSize } });
    const tokenizer = new TableTokenizer([...PIECES, '\u00e9'], true);
    const eosTokenIds = [EOS, vocabSize, vocabSize + 7];
    const engine = await createEngine({ addon, options: OPTIONS, tokenizer, template: null, eosTokenIds, onProgress() {} });
    return { engine, native: addon.native() };
  };

  it('ends with the ids that there are', async () => {
    let stops: Uint32Array | null = null;
    const { engine, native } = await setUpLarger(({ stopTokenIds }) => {
      stops = stopTokenIds;
      return EOS;
    });
    const { first } = begin(engine);
    native.tick(1);
    expect(await first).toEqual(delta({ finish: finish({ completionTokens: 1 }) }));
    expect(stops).toEqual(Uint32Array.of(EOS));
  });

  it('says which token of a prompt there is not', async () => {
    const { engine } = await setUpLarger(() => EOS);
    const message = `The prompt has token ${vocabSize} ("\u00e9"), which the model lacks: it has ${vocabSize} embeddings.`;
    await expect(engine.prepareText('a\u00e9')).rejects.toThrow(new TextError(message));
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
