// Many clients at once on the native engine: disconnects, mixed lengths, equal answers.
import { expect, test } from 'vitest';
import { fixture, type RealServer, realServer } from './real-engine.ts';

interface Completion {
  choices: { index: number; text: string; finish_reason: string }[];
  usage: { completion_tokens: number };
}

const prompts = ['Hello', 'Once upon a time', 'def f(x):', '12345', 'The quick brown fox jumps over the lazy dog. '.repeat(3)];

const ask = (k: number) => ({
  model: 'm',
  prompt: prompts[k % prompts.length],
  max_tokens: 20 + (k % 30),
  seed: k,
  temperature: k % 3 === 0 ? 0 : 0.9,
  ignore_eos: true,
});

async function text(server: RealServer, k: number): Promise<string> {
  const response = await server.post('/v1/completions', ask(k));
  expect(response.status).toBe(200);
  return ((await response.json()) as Completion).choices[0]?.text ?? '';
}

async function streamed(server: RealServer, k: number): Promise<string> {
  const response = await server.post('/v1/completions', { ...ask(k), stream: true });
  const events = (await response.text()).split('\n\n').filter((event) => event.startsWith('data: {'));
  return events.map((event) => (JSON.parse(event.slice(6)) as Completion).choices[0]?.text ?? '').join('');
}

test('200 requests of which half leave at a random moment', async () => {
  const server = await realServer(fixture('mha-rope10k'), { maxNumSeqs: 16 });
  const before = await server.engine.stats();
  const expected = await text(server, 7);
  let state = 1;
  const random = () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
  const requests = Array.from({ length: 200 }, async (_, k) => {
    const leaves = k % 2 === 0;
    const controller = new AbortController();
    if (leaves) setTimeout(() => controller.abort(), random() * 400);
    try {
      const body = { ...ask(k), max_tokens: leaves ? 400 : 30, stream: k % 4 < 2 };
      const response = await server.post('/v1/completions', body, controller.signal);
      return await response.text();
    } catch (error) {
      if (!leaves) throw error;
      return null;
    }
  });
  const answers = await Promise.all(requests);
  for (const [k, answer] of answers.entries()) if (k % 2 === 1) expect(answer).toContain(k % 4 < 2 ? '[DONE]' : '"usage"');
  expect(answers.filter((answer) => answer === null).length).toBeGreaterThan(20);
  await expect.poll(async () => (await server.engine.stats()).running).toBe(0);
  const after = await server.engine.stats();
  expect(after.waiting).toBe(0);
  expect(after.freeBlocks).toBe(before.freeBlocks);
  expect(server.engine.numLive).toBe(0);
  expect(await text(server, 7)).toBe(expected);
});

test('a text does not depend on its neighbours, nor on streaming', async () => {
  const server = await realServer(fixture('gqa-llama3rope-tied'));
  const alone: string[] = [];
  for (let k = 0; k < 12; k++) alone.push(await text(server, k));
  expect(new Set(alone).size).toBeGreaterThan(8);
  const together = await Promise.all(alone.map((_, k) => text(server, k)));
  expect(together).toEqual(alone);
  expect(await Promise.all(alone.map((_, k) => streamed(server, k)))).toEqual(alone);
});

test('choice i of n is what seed + i gives', async () => {
  const server = await realServer(fixture('mha-rope10k'));
  const body = { model: 'm', prompt: 'Hello', max_tokens: 12, temperature: 1, ignore_eos: true };
  const { choices, usage } = (await (await server.post('/v1/completions', { ...body, n: 3, seed: 5 })).json()) as Completion;
  expect(usage.completion_tokens).toBe(36);
  for (const { index, text } of choices) {
    const single = (await (await server.post('/v1/completions', { ...body, seed: 5 + index })).json()) as Completion;
    expect(single.choices[0]?.text).toBe(text);
  }
});

test('a shared prefix comes from the cache, and changes nothing', async () => {
  const server = await realServer(fixture('mha-rope10k'));
  const prompt = Array.from({ length: 100 }, (_, k) => 3 + (k % 200));
  const body = { model: 'm', prompt, max_tokens: 10, temperature: 0 };
  type Answer = Completion & { usage: { prompt_tokens_details: { cached_tokens: number } } };
  const first = (await (await server.post('/v1/completions', body)).json()) as Answer;
  const second = (await (await server.post('/v1/completions', body)).json()) as Answer;
  expect(first.usage.prompt_tokens_details.cached_tokens).toBe(0);
  expect(second.usage.prompt_tokens_details.cached_tokens).toBe(96);
  expect(second.choices).toEqual(first.choices);
});

test('a cache too small for all preempts, and every text is right', async () => {
  const roomy = await realServer(fixture('mqa-f16'));
  // 2 layers x 1 KV head x 16 x (K and V) x 2 bytes = 128 bytes a token: room for 512 tokens.
  const tight = await realServer(fixture('mqa-f16'), { kvCacheMemory: 512 * 128, maxModelLen: 256 });
  const body = (k: number) => ({ ...ask(k), max_tokens: 150 });
  const run = async (server: RealServer) =>
    Promise.all(
      Array.from({ length: 10 }, async (_, k) => {
        const response = await server.post('/v1/completions', body(k));
        return ((await response.json()) as Completion).choices[0]?.text;
      }),
    );
  const expected = await run(roomy);
  expect(await run(tight)).toEqual(expected);
  expect((await tight.engine.stats()).preemptions).toBeGreaterThan(0);
});
