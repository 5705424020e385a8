// Chat completions: shapes, the order of a stream, log-probabilities.
import type { ChatCompletion, ChatCompletionChunk } from 'openai/resources/chat/completions';
import { describe, expect, test } from 'vitest';
import { chat, events, eventually, model, testServer } from './server.ts';

const url = '/v1/chat/completions';
const usage = (prompt: number, completion: number, cached = 0) => ({
  prompt_tokens: prompt,
  completion_tokens: completion,
  total_tokens: prompt + completion,
  prompt_tokens_details: { cached_tokens: cached },
});

/** What a client makes of a stream: per choice the text, and the reasons in order. */
function joined(chunks: ChatCompletionChunk[]) {
  const choices: { content: string; reasons: string[] }[] = [];
  for (const { choices: parts } of chunks) {
    for (const { index, delta, finish_reason } of parts) {
      choices[index] ??= { content: '', reasons: [] };
      choices[index].content += delta.content ?? '';
      if (finish_reason) choices[index].reasons.push(finish_reason);
    }
  }
  return choices;
}

test('a completion', async () => {
  const { post } = await testServer();
  const response = await post(url, chat());
  expect(response.headers['content-type']).toBe('application/json; charset=utf-8');
  const message = { role: 'assistant', content: '(no seed) user: hi\n', refusal: null, annotations: [] };
  expect(response.json()).toEqual({
    id: expect.stringMatching(/^chatcmpl-[0-9a-f]{32}$/),
    object: 'chat.completion',
    created: expect.any(Number),
    model,
    choices: [{ index: 0, message, logprobs: null, finish_reason: 'stop' }],
    usage: usage(10, 20),
    system_fingerprint: expect.stringMatching(/^fp_[0-9a-f]{12}$/),
  });
  expect(Math.abs(response.json().created - Date.now() / 1000)).toBeLessThan(60);
});

test('the fingerprint is stable, the id is not', async () => {
  const [one, two] = [
    (await (await testServer()).post(url, chat())).json(),
    (await (await testServer()).post(url, chat())).json(),
  ];
  expect(one.system_fingerprint).toBe(two.system_fingerprint);
  expect(one.id).not.toBe(two.id);
});

test.each([
  ['length', { max_tokens: 4 }, '(no ', 'length', 4],
  ['a stop string, which is not part of the text', { stop: ['seed'] }, '(no ', 'stop', 8],
  ['a stop string that the limit cuts', { stop: ['seed'], max_tokens: 7 }, '(no see', 'length', 7],
  ['a stop token', { stop_token_ids: [0x29] }, '(no seed', 'stop', 9],
])('ends by %s', async (_name, fields, content, reason, tokens) => {
  const { post } = await testServer();
  const completion: ChatCompletion = (await post(url, chat(fields))).json();
  expect(completion.choices[0]).toMatchObject({ message: { content }, finish_reason: reason });
  expect(completion.usage).toEqual(usage(10, tokens));
});

test('usage counts the prompt once and the tokens of all choices', async () => {
  const { post } = await testServer();
  const body = chat({ n: 3, max_tokens: 5, messages: [{ role: 'user', content: 'x'.repeat(40) }] });
  expect((await post(url, body)).json().usage).toEqual(usage(48, 15, 48));
});

describe('a stream', () => {
  test('role, content, finish, in that order and one id', async () => {
    const { post } = await testServer();
    const response = await post(url, chat({ stream: true, max_tokens: 2 }));
    expect(response.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      'x-accel-buffering': 'no',
    });
    const chunks = events<ChatCompletionChunk>(response.body);
    const deltas = [{ role: 'assistant', content: '' }, { content: '(' }, { content: 'n' }, {}];
    expect(chunks).toEqual(
      deltas.map((delta, i) => ({
        id: expect.stringMatching(/^chatcmpl-[0-9a-f]{32}$/),
        object: 'chat.completion.chunk',
        created: expect.any(Number),
        model,
        system_fingerprint: expect.any(String),
        choices: [{ index: 0, delta, logprobs: null, finish_reason: i === 3 ? 'length' : null }],
      })),
    );
    expect(new Set(chunks.map(({ id, created }) => `${id} ${created}`)).size).toBe(1);
  });

  test('usage is null until the last chunk, which has no choices', async () => {
    const { post } = await testServer();
    const chunks = events<ChatCompletionChunk>(
      (await post(url, chat({ stream: true, stream_options: { include_usage: true } }))).body,
    );
    const last = chunks.pop();
    expect(last).toMatchObject({ choices: [], usage: usage(10, 20) });
    for (const chunk of chunks) expect(chunk).toMatchObject({ usage: null, choices: [expect.anything()] });
  });

  test('without include_usage no chunk has the field', async () => {
    const { post } = await testServer();
    const chunks = events<ChatCompletionChunk>(
      (await post(url, chat({ stream: true, stream_options: { include_usage: false } }))).body,
    );
    for (const chunk of chunks) expect(chunk).not.toHaveProperty('usage');
  });

  test('choices appear in index order and interleave; each has one role and one finish', async () => {
    // The last choice is the fastest.
    const pace = (_step: number, { seed }: { seed: bigint | null }) => waits(12 - 4 * Number(seed));
    const { post } = await testServer({ pace });
    const chunks = events<ChatCompletionChunk>((await post(url, chat({ stream: true, n: 3, seed: 0 }))).body);
    const choices = chunks.flatMap(({ choices }) => choices);
    expect(choices.slice(0, 3).map(({ index, delta }) => [index, delta.role])).toEqual([
      [0, 'assistant'],
      [1, 'assistant'],
      [2, 'assistant'],
    ]);
    expect(choices.filter(({ delta }) => delta.role !== undefined)).toHaveLength(3);
    expect(joined(chunks)).toEqual([0, 1, 2].map((seed) => ({ content: `(${seed}) user: hi\n`, reasons: ['stop'] })));
    const order = choices.slice(3).map(({ index }) => index);
    expect(order.indexOf(0)).toBeLessThan(order.lastIndexOf(2));
    expect(order.at(-1)).toBe(0);
  });

  test.each([['héllo wörld 👋🏽 — ok\u2028\u2029"\\\u0000'], [''], ['plain']])(
    'of %j joins to the whole text',
    async (text) => {
      const { post } = await testServer({ reply: () => text });
      for (const fields of [{}, { stop: ['wör'] }, { max_tokens: 3 }, { n: 2 }, { logprobs: true }]) {
        const whole: ChatCompletion = (await post(url, chat(fields))).json();
        const parts = joined(events((await post(url, chat({ ...fields, stream: true }))).body));
        expect(parts).toEqual(
          whole.choices.map(({ message, finish_reason }) => ({ content: message.content, reasons: [finish_reason] })),
        );
      }
    },
  );

  test('obfuscation pads chunks to lengths that do not tell their text, on request', async () => {
    const { post } = await testServer({ reply: () => 'aé👋' });
    const body = (include_obfuscation: boolean) => chat({ stream: true, stream_options: { include_obfuscation } });
    const padded = (await post(url, body(true))).body
      .split('\n\n')
      .filter((line) => line.includes('"content":') && !line.includes('role'));
    expect(padded).toHaveLength(3);
    expect(new Set(padded.map((line) => line.length)).size).toBe(1);
    for (const line of padded) expect(line).toMatch(/"obfuscation":"[\w-]{1,32}"/);
    expect((await post(url, body(false))).body).not.toContain('obfuscation');
  });

  test.each([
    ['an unknown model', { model: 'x' }, 404],
    ['too many tokens', { max_tokens: 1000 }, 400],
    ['a template that refuses', { messages: [{ role: 'user', content: 'refuse me' }] }, 400],
  ])('%s is a status code, not an event', async (_name, fields, status) => {
    const { post } = await testServer();
    const response = await post(url, chat({ stream: true, ...fields }));
    expect([response.statusCode, response.headers['content-type']]).toEqual([status, 'application/json; charset=utf-8']);
  });

  test('that fails in its middle ends with an error event and no [DONE]', async () => {
    const { post, log, engine } = await testServer({ failAfter: 2 });
    const response = await post(url, chat({ stream: true, n: 2 }));
    const blocks = response.body.trimEnd().split('\n\n');
    expect(JSON.parse(blocks.at(-1)?.slice(6) ?? '')).toEqual({
      error: {
        message: expect.stringContaining('The server failed'),
        type: 'server_error',
        param: null,
        code: 'internal_error',
      },
    });
    expect(blocks.length).toBe(2 + 4 + 1);
    expect(response.body).not.toMatch(/DONE|0xdeadbeef/);
    expect(engine.running).toBe(0);
    await eventually(() => log.find(({ msg }) => msg === 'request')).toMatchObject({ status: 500, finish_reason: 'error' });
  });
});

describe('log-probabilities', () => {
  const entry = (token: string, logprob: number) => ({ token, logprob, bytes: [...Buffer.from(token)] });

  test('of the chosen token and the best, -9999 at least', async () => {
    const { post } = await testServer({ reply: () => 'az' });
    const response = await post(url, chat({ logprobs: true, top_logprobs: 2 }));
    expect(response.json().choices[0].logprobs).toEqual({
      content: [
        { ...entry('a', -6.5), top_logprobs: [entry('a', -0.25), entry('b', -1.25)] },
        { ...entry('z', -9999), top_logprobs: [entry('z', -0.25), entry('{', -1.25)] },
      ],
      refusal: null,
    });
  });

  test('without top_logprobs the list is empty', async () => {
    const { post } = await testServer({ reply: () => 'a' });
    expect((await post(url, chat({ logprobs: true }))).json().choices[0].logprobs.content).toEqual([
      { ...entry('a', -6.5), top_logprobs: [] },
    ]);
  });

  test('of a character split over tokens join to its bytes', async () => {
    const { post } = await testServer({ reply: () => '👋' });
    const { content } = (await post(url, chat({ logprobs: true }))).json().choices[0].logprobs;
    expect(Buffer.from(content.flatMap(({ bytes }: { bytes: number[] }) => bytes)).toString()).toBe('👋');
  });

  test('come with the chunks of their text', async () => {
    const { post } = await testServer({ reply: () => 'a👋b' });
    const whole: ChatCompletion = (await post(url, chat({ logprobs: true, top_logprobs: 1 }))).json();
    const chunks = events<ChatCompletionChunk>((await post(url, chat({ logprobs: true, top_logprobs: 1, stream: true }))).body);
    const parts = chunks.flatMap(({ choices }) => choices).filter(({ logprobs }) => logprobs);
    expect(parts.map(({ delta, logprobs }) => [delta.content, logprobs?.content?.length])).toEqual([
      ['a', 1],
      ['👋', 4],
      ['b', 1],
    ]);
    expect(parts.flatMap(({ logprobs }) => logprobs?.content ?? [])).toEqual(whole.choices[0]?.logprobs?.content);
  });
});

async function waits(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
}
