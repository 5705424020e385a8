import { expect, test, vi } from 'vitest';
import { drawer } from '../../../src/gatt/draw.ts';
import type { Job } from '../../../src/gatt/plan.ts';
import { type Answer, type Ask, type ChatMessage, type SampleOptions, sampleJob } from '../../../src/gatt/sample.ts';

const job = (...ends: number[]): Job => ({
  key: '3.0',
  line: 3,
  turns: [1, 2, 3].map((turn) => ({ user: `u${turn}`, answer: turn === 3 ? null : `given${turn}` })),
  instruction: 'FULL',
  ends: ends.map((turn) => ({ turn, instruction: turn === 2 ? 'short' : 'FULL' })),
  draw: drawer(0),
});
const options: SampleOptions = { place: 'system', earlierAnswers: 'sampled', keepCut: false };

function asker(odd: Record<number, Answer> = {}) {
  const asked: { messages: ChatMessage[]; seed: number }[] = [];
  const ask: Ask = async (messages, { seed, turn }) => {
    asked.push({ messages, seed });
    return odd[turn] ?? { content: `a${turn}`, whole: true };
  };
  return { ask, asked, contents: () => asked.map(({ messages }) => messages.map(({ content }) => content)) };
}
const nothing = () => {};

test('sampled with the instruction on every turn, written with it in the first, loss on the last answer', async () => {
  const { ask, asked, contents } = asker();
  const onTurn = vi.fn();
  const { samples } = await sampleJob(job(2), options, ask, onTurn);
  expect(contents()).toEqual([['FULL\n\nu1'], ['FULL\n\nu1', 'a1', 'FULL\n\nu2']]);
  expect(asked[1]?.messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'user']);
  expect(samples).toEqual([
    {
      id: '3.0.2',
      messages: [
        { role: 'system', content: 'short' },
        { role: 'user', content: 'u1' },
        { role: 'assistant', content: 'a1', weight: 0 },
        { role: 'user', content: 'u2' },
        { role: 'assistant', content: 'a2', weight: 1 },
      ],
      instruction: 'FULL',
    },
  ]);
  expect(onTurn).toHaveBeenCalledTimes(2);
  const seeds = asked.map(({ seed }) => seed);
  expect(new Set(seeds).size).toBe(2);
  for (const seed of seeds) expect(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 31).toBe(true);
});

test('in the first user message instead of a system message', async () => {
  const { samples } = await sampleJob(job(2), { ...options, place: 'user' }, asker().ask, nothing);
  expect(samples[0]?.messages.map(({ content }) => content)).toEqual(['short\n\nu1', 'a1', 'u2', 'a2']);
});

test('one sampled dialogue gives a sample for each of its ends', async () => {
  const { ask, asked } = asker();
  const { samples } = await sampleJob(job(1, 3), options, ask, nothing);
  expect(samples.map(({ id }) => id)).toEqual(['3.0.1', '3.0.3']);
  expect(asked).toHaveLength(3);
  const weights = samples.map(({ messages }) => messages.map(({ weight }) => weight).filter((weight) => weight !== undefined));
  expect(weights).toEqual([[1], [0, 0, 1]]);
});

test('given answers are the context, and only ends are sampled', async () => {
  const { ask, contents } = asker();
  const { samples } = await sampleJob(job(1, 3), { ...options, earlierAnswers: 'given' }, ask, nothing);
  expect(contents()).toEqual([['FULL\n\nu1'], ['FULL\n\nu1', 'given1', 'FULL\n\nu2', 'given2', 'FULL\n\nu3']]);
  expect(samples[1]?.messages.map(({ content }) => content)).toEqual(['FULL', 'u1', 'given1', 'u2', 'given2', 'u3', 'a3']);
});

test('a cut or empty answer ends a sampled dialogue, and is counted', async () => {
  const cut = asker({ 2: { content: 'half', whole: false } });
  expect(await sampleJob(job(1, 2, 3), options, cut.ask, nothing)).toMatchObject({
    samples: [{ id: '3.0.1' }],
    nCut: 2,
    nEmpty: 0,
  });
  expect(cut.asked).toHaveLength(2);
  const empty = asker({ 1: { content: ' \n', whole: true } });
  expect(await sampleJob(job(3), { ...options, keepCut: true }, empty.ask, nothing)).toEqual({
    samples: [],
    nCut: 0,
    nEmpty: 1,
  });
  const given = asker({ 1: { content: 'half', whole: false } });
  const result = await sampleJob(job(1, 3), { ...options, earlierAnswers: 'given' }, given.ask, nothing);
  expect(result).toMatchObject({ samples: [{ id: '3.0.3' }], nCut: 1 });
});

test('cut answers are kept when asked for', async () => {
  const { ask } = asker({ 2: { content: 'half', whole: false } });
  const { samples, nCut } = await sampleJob(job(2, 3), { ...options, keepCut: true }, ask, nothing);
  expect([samples.map(({ id }) => id), nCut]).toEqual([['3.0.2', '3.0.3'], 0]);
});
