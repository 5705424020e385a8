// Text completions: shapes, batches, echo, log-probabilities, the order of a stream.
import type { Completion } from 'openai/resources/completions';
import { describe, expect, test } from 'vitest';
import { completion, events, model, testServer } from './server.ts';

const url = '/v1/completions';
const short = { reply: () => 'abc' };

test('a completion', async () => {
  const { post } = await testServer(short);
  expect((await post(url, completion())).json()).toEqual({
    id: expect.stringMatching(/^cmpl-[0-9a-f]{32}$/),
    object: 'text_completion',
    created: expect.any(Number),
    model,
    choices: [{ index: 0, text: 'abc', logprobs: null, finish_reason: 'stop' }],
    usage: { prompt_tokens: 5, completion_tokens: 4, total_tokens: 9, prompt_tokens_details: { cached_tokens: 0 } },
    system_fingerprint: expect.stringMatching(/^fp_[0-9a-f]{12}$/),
  });
});

test('prompts times n: index = prompt * n + k, usage over all', async () => {
  const { post } = await testServer({ reply: (prompt, seed) => `${prompt}${seed}` });
  const { choices, usage }: Completion = (await post(url, completion({ prompt: ['x', 'yy'], n: 2, seed: 7 }))).json();
  expect(choices.map(({ index, text }) => [index, text])).toEqual([
    [0, 'x7'],
    [1, 'x8'],
    [2, 'yy7'],
    [3, 'yy8'],
  ]);
  expect(usage).toMatchObject({ prompt_tokens: 2 + 3, completion_tokens: 3 + 3 + 4 + 4 });
});

describe('a stream', () => {
  test('has text, then the reason, then usage', async () => {
    const { post } = await testServer(short);
    const chunks = events<Completion>(
      (await post(url, completion({ stream: true, stream_options: { include_usage: true } }))).body,
    );
    expect(chunks.map(({ choices, usage }) => [choices[0]?.text, choices[0]?.finish_reason, usage])).toEqual([
      ['a', null, null],
      ['b', null, null],
      ['c', null, null],
      ['', 'stop', null],
      [undefined, undefined, expect.objectContaining({ total_tokens: 9 })],
    ]);
    for (const chunk of chunks) expect(chunk).toMatchObject({ id: chunks[0]?.id, object: 'text_completion', model });
  });

  test('of several choices starts with each of them, in index order', async () => {
    const { post } = await testServer(short);
    const chunks = events<Completion>((await post(url, completion({ stream: true, prompt: ['x', 'y'], n: 2 }))).body);
    expect(chunks.slice(0, 4).map(({ choices }) => [choices[0]?.index, choices[0]?.text])).toEqual([
      [0, ''],
      [1, ''],
      [2, ''],
      [3, ''],
    ]);
  });

  const bodies = [
    {},
    { echo: true },
    { n: 2, echo: true, seed: 1 },
    { prompt: ['ä', 'b'] },
    { stop: 'c' },
    { max_tokens: 0 },
    { max_tokens: 0, echo: true },
  ];
  test.each([...bodies, { logprobs: 2 }, { logprobs: 1, echo: true, n: 2 }, { logprobs: 0, echo: true, max_tokens: 0 }])(
    'of %j joins to the whole',
    async (fields) => {
      const { post } = await testServer({ reply: (prompt) => `${prompt} 👋 abc` });
      const whole: Completion = (await post(url, completion(fields))).json();
      const parts = events<Completion>((await post(url, completion({ ...fields, stream: true }))).body).flatMap(
        ({ choices }) => choices,
      );
      for (const { index, text, finish_reason, logprobs } of whole.choices) {
        const own = parts.filter((part) => part.index === index);
        expect(own.map((part) => part.text).join('')).toBe(text);
        expect(own.map((part) => part.finish_reason).filter((reason) => reason !== null)).toEqual([finish_reason]);
        for (const list of ['tokens', 'token_logprobs', 'top_logprobs', 'text_offset'] as const) {
          expect(own.flatMap((part): unknown[] => part.logprobs?.[list] ?? [])).toEqual(logprobs?.[list] ?? []);
        }
      }
    },
  );
});

describe('log-probabilities', () => {
  test('of the chosen token and k more, offsets from the start of the text', async () => {
    const { post } = await testServer({ reply: () => 'az' });
    expect((await post(url, completion({ logprobs: 1 }))).json().choices[0].logprobs).toEqual({
      tokens: ['a', 'z'],
      token_logprobs: [-6.5, -9999],
      top_logprobs: [{ a: -0.25 }, { z: -0.25 }],
      text_offset: [0, 1],
    });
  });

  test('with logprobs 0: the chosen token alone', async () => {
    const { post } = await testServer({ reply: () => 'a' });
    expect((await post(url, completion({ logprobs: 0 }))).json().choices[0].logprobs.top_logprobs).toEqual([{ a: -6.5 }]);
  });

  test('echo with max_tokens 0 scores the prompt: the first token has none', async () => {
    const server = await testServer();
    const response = await server.post(url, completion({ prompt: [97, 98, 99], echo: true, max_tokens: 0, logprobs: 1 }));
    expect(server.engine.requests[0]).toMatchObject({ maxTokens: 0, promptLogprobs: 1, logprobs: 1 });
    expect(response.json()).toMatchObject({
      choices: [
        {
          text: 'abc',
          logprobs: {
            tokens: ['a', 'b', 'c'],
            token_logprobs: [null, -0.5, -1.5],
            top_logprobs: [null, { b: -0.25 }, { c: -0.25 }],
            text_offset: [0, 1, 2],
          },
          finish_reason: 'length',
        },
      ],
      usage: { prompt_tokens: 3, completion_tokens: 0 },
    });
  });

  test('echo: the prompt’s, then the answer’s; offsets are code points, the tokens of one character share its offset', async () => {
    const { post } = await testServer({ reply: () => 'x' });
    const { text, logprobs } = (await post(url, completion({ prompt: 'é👋', echo: true, logprobs: 0 }))).json().choices[0];
    expect(text).toBe('é👋x');
    expect(logprobs.tokens[0]).toBe('<s>');
    expect(logprobs.text_offset).toEqual([0, 0, 0, 1, 1, 1, 1, 2]);
    expect(logprobs.token_logprobs[0]).toBeNull();
    expect(logprobs.tokens.slice(1, 4)).toEqual(['bytes:\\xc3', 'bytes:\\xa9', 'bytes:\\xf0']);
  });

  test('only asked-for prompts are scored', async () => {
    const server = await testServer(short);
    await server.post(url, completion({ logprobs: 2 }));
    await server.post(url, completion({ echo: true }));
    expect(server.engine.requests.map(({ promptLogprobs }) => promptLogprobs)).toEqual([null, null]);
  });
});
