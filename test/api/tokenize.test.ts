// /tokenize and /detokenize over the fake engine: shapes, and one row for each rule.
import { describe, expect, test } from 'vitest';
import { bos, eos } from './fake-engine.ts';
import { fixture, realServer } from './real-engine.ts';
import { model, testServer } from './server.ts';

const messages = [
  { role: 'system', content: 'x' },
  { role: 'user', content: 'hi' },
];
const bytes = (text: string) => [...Buffer.from(text)];

describe('/tokenize', () => {
  test('a text is what /v1/completions makes of it', async () => {
    const { post } = await testServer();
    const response = await post('/tokenize', { model, prompt: 'é<s>' });
    expect(response.statusCode).toBe(200);
    expect(response.json()).toEqual({ count: 6, max_model_len: 256, tokens: [bos, ...bytes('é<s>')], token_strs: null });
    const bare = (await post('/tokenize', { prompt: 'é', add_special_tokens: false, return_token_strs: true })).json();
    expect(bare).toMatchObject({ count: 2, tokens: [0xc3, 0xa9], token_strs: ['\\xc3', '\\xa9'] });
    expect((await post('/tokenize', { prompt: '' })).json()).toMatchObject({ count: 1, tokens: [bos] });
  });

  test('a conversation is what /v1/chat/completions makes of it', async () => {
    const { post, engine, requestLog } = await testServer();
    const { tokens, count, token_strs } = (await post('/tokenize', { model, messages, return_token_strs: true })).json();
    await post('/v1/chat/completions', { model, messages, max_tokens: 1 });
    expect(tokens).toEqual([...(engine.requests[0]?.tokens ?? [])]);
    expect(count).toBe(tokens.length);
    expect(token_strs.join('')).toBe('<s>system: x\nuser: hi\n');
    expect(requestLog()[0]).toMatchObject({ path: '/tokenize', status: 200, model, prompt_tokens: count });
  });

  test('a text longer than the context is counted', async () => {
    const { post } = await testServer();
    expect((await post('/tokenize', { prompt: 'x'.repeat(1000) })).json()).toMatchObject({ count: 1001, max_model_len: 256 });
  });

  test('fields that do nothing are named', async () => {
    const { post } = await testServer();
    const ignored = async (body: object) => (await post('/tokenize', body)).headers['x-gattling-ignored'];
    expect(await ignored({ prompt: 'x', user: 'me' })).toBe('user');
    expect(await ignored({ messages: [{ role: 'user', content: 'x', mood: 'good' }] })).toBe('messages.mood');
    expect(await ignored({ messages, add_special_tokens: false, return_token_strs: null })).toBe('add_special_tokens');
  });
});

describe('/detokenize', () => {
  test('gives the text back, control tokens as they are spelled', async () => {
    const { post } = await testServer();
    const tokens = [bos, ...bytes('é 日本'), eos];
    expect((await post('/detokenize', { model, tokens })).json()).toEqual({ prompt: '<s>é 日本</s>' });
    expect((await post('/detokenize', { tokens: [] })).json()).toEqual({ prompt: '' });
  });
});

test('over a model: what /v1/completions counts, and back to the text', async () => {
  const server = await realServer(fixture('mha-rope10k'));
  const post = async (path: string, body: object) => (await (await server.post(path, body)).json()) as Record<string, unknown>;
  for (const prompt of ['Hello wörld 👩‍👩‍👧', 'one  two\n', '</s> is text', '']) {
    const { tokens, count, max_model_len } = await post('/tokenize', { prompt });
    const { usage } = await post('/v1/completions', { model: 'm', prompt, max_tokens: 1 });
    expect([usage, max_model_len]).toMatchObject([{ prompt_tokens: count }, 512]);
    expect(await post('/detokenize', { tokens })).toEqual({ prompt: `<s>${prompt}` });
  }
});

type Row = [path: string, body: object, param: string, message: string];

const rows: Row[] = [
  ['/tokenize', {}, 'prompt', 'prompt or messages is required.'],
  ['/tokenize', { prompt: null, messages: null }, 'prompt', 'prompt or messages is required.'],
  ['/tokenize', { prompt: 'x', messages }, 'messages', 'messages is only allowed without prompt: send one of the two.'],
  ['/tokenize', { prompt: ['x'] }, 'prompt', 'prompt must be a string or null, not an array of 1.'],
  ['/tokenize', { messages: [] }, 'messages', 'messages must have at least 1 item(s), not an array of 0.'],
  ['/tokenize', { messages: [{ content: 'x' }] }, 'messages.0.role', 'messages.0.role is required.'],
  ['/tokenize', { messages: [{ role: 'user', content: 'refuse me' }] }, 'messages', 'The template refuses this conversation.'],
  [
    '/tokenize',
    { messages, add_special_tokens: true },
    'add_special_tokens',
    'add_special_tokens is not supported by this server; with messages the template writes them; send false.',
  ],
  [
    '/tokenize',
    { prompt: 'x', return_token_strs: 1 },
    'return_token_strs',
    'return_token_strs must be true or false or null, not 1.',
  ],
  ['/tokenize', { prompt: `${'é'.repeat(2 ** 19)}x` }, 'prompt', 'prompt must have at most 1048576 bytes, not 1048577.'],
  [
    '/tokenize',
    { messages, tools: [{}] },
    'tools',
    'tools is not supported by this server; leave it out or send an empty array.',
  ],
  ['/detokenize', {}, 'tokens', 'tokens is required.'],
  ['/detokenize', { tokens: 'abc' }, 'tokens', 'tokens must be an array of token ids.'],
  ['/detokenize', { tokens: null }, 'tokens', 'tokens must be an array of token ids.'],
  ['/detokenize', { tokens: [1, 258] }, 'tokens.1', 'tokens.1 must be a token id from 0 to 257, not 258.'],
  ['/detokenize', { tokens: [-1] }, 'tokens.0', 'tokens.0 must be a token id from 0 to 257, not -1.'],
  ['/detokenize', { tokens: [1, 2, 0.5] }, 'tokens.2', 'tokens.2 must be a token id from 0 to 257, not 0.5.'],
  ['/detokenize', { tokens: ['1'] }, 'tokens.0', 'tokens.0 must be a token id from 0 to 257, not "1".'],
  ['/detokenize', { tokens: new Array(2 ** 20 + 1).fill(1) }, 'tokens', 'tokens must have at most 1048576 items, not 1048577.'],
];

test.each(rows.map((row) => [JSON.stringify(row[1]).slice(0, 60), ...row] as const))(
  'refuses %s',
  async (_name, path, body, param, message) => {
    const { post } = await testServer();
    const response = await post(path, body);
    expect([response.statusCode, response.json()]).toEqual([
      400,
      {
        error: {
          message,
          param,
          type: 'invalid_request_error',
          code: expect.toSatisfy((code) => code === null || code === 'unsupported_parameter'),
        },
      },
    ]);
  },
);

test.each(['/tokenize', '/detokenize'])('%s: keys, models, methods and closing are as everywhere', async (path) => {
  const { app, post } = await testServer({}, { apiKeys: ['secret'] });
  const body = { prompt: 'x', tokens: [1] };
  const authorization = { authorization: 'Bearer secret' };
  expect((await post(path, body)).statusCode).toBe(401);
  expect((await post(path, body, authorization)).statusCode).toBe(200);
  const unknown = await post(path, { ...body, model: 'gpt-4' }, authorization);
  expect([unknown.statusCode, unknown.json().error.code]).toEqual([404, 'model_not_found']);
  const wrong = await app.inject({ url: path, headers: authorization });
  expect([wrong.statusCode, wrong.headers['allow']]).toEqual([405, 'POST']);
});
