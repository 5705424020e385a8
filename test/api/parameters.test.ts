// What the engine is asked for, given a body.
import { expect, test, vi } from 'vitest';
import type { GenerateRequest } from '../../src/engine/types.ts';
import { bos, vocabSize } from './fake-engine.ts';
import { chat, completion, testServer } from './server.ts';

const rows: [name: string, fields: object, expected: Partial<GenerateRequest>][] = [
  [
    'OpenAI defaults',
    {},
    {
      ...{ temperature: 1, topP: 1, topK: 0, minP: 0, minTokens: 0, presencePenalty: 0, frequencyPenalty: 0 },
      ...{
        repetitionPenalty: 1,
        seed: null,
        logprobs: null,
        promptLogprobs: null,
        stop: [],
        stopTokenIds: [],
        ignoreEos: false,
      },
      ...{ logitBias: new Map(), salt: new Uint8Array(16) },
    },
  ],
  ['a temperature too cold for float32', { temperature: 1e-30 }, { temperature: 0 }],
  ['top_p 0', { top_p: 0 }, { topP: 1e-6 }],
  ['top_k -1', { top_k: -1 }, { topK: 0 }],
  ['a huge top_k', { top_k: 2 ** 40 }, { topK: vocabSize }],
  [
    'penalties',
    { presence_penalty: -2, frequency_penalty: 2, repetition_penalty: 1.5 },
    { presencePenalty: -2, frequencyPenalty: 2, repetitionPenalty: 1.5 },
  ],
  ['min_p and min_tokens', { min_p: 0.1, min_tokens: 3, max_tokens: 3 }, { minP: 0.1, minTokens: 3, maxTokens: 3 }],
  ['a string to stop at', { stop: 'x' }, { stop: ['x'] }],
  ['four strings to stop at', { stop: ['a', 'b', 'c', 'd'] }, { stop: ['a', 'b', 'c', 'd'] }],
  ['stop tokens', { stop_token_ids: [7], ignore_eos: true, max_tokens: 1 }, { stopTokenIds: [7], ignoreEos: true }],
  [
    'biases',
    { logit_bias: { '0': -100, '257': 0.5 } },
    {
      logitBias: new Map([
        [0, -100],
        [257, 0.5],
      ]),
    },
  ],
  ['a seed', { seed: 5 }, { seed: 5n }],
  ['a negative seed as 64 bits', { seed: -1 }, { seed: 2n ** 64n - 1n }],
  ['a seed beyond 2^53', { seed: 2 ** 60 }, { seed: 2n ** 60n }],
  ['the largest int64', { seed: 2 ** 63 }, { seed: 2n ** 63n }],
];

test.each(rows)('%s', async (_name, fields, expected) => {
  const server = await testServer();
  for (const [path, body] of [
    ['/v1/chat/completions', chat(fields)],
    ['/v1/completions', completion(fields)],
  ] as const) {
    expect((await server.post(path, body)).statusCode).toBe(200);
    expect(server.engine.requests.at(-1)).toMatchObject(expected);
  }
});

test('the model folder’s defaults apply where the body is silent', async () => {
  const defaults = { temperature: 0.6, topP: 0.9, topK: 50, minP: 0.05, repetitionPenalty: 1.1 };
  const server = await testServer({}, { defaults });
  await server.post('/v1/completions', completion());
  await server.post('/v1/completions', completion({ temperature: 0, top_p: 1, top_k: 0, min_p: 0, repetition_penalty: 1 }));
  expect(server.engine.requests[0]).toMatchObject(defaults);
  expect(server.engine.requests[1]).toMatchObject({ temperature: 0, topP: 1, topK: 0, minP: 0, repetitionPenalty: 1 });
});

test('choice i of n has seed + i, for each prompt, and wraps at 64 bits', async () => {
  const server = await testServer();
  await server.post('/v1/completions', completion({ prompt: ['a', 'b'], n: 2, seed: -1 }));
  expect(server.engine.requests.map(({ seed }) => seed)).toEqual([2n ** 64n - 1n, 0n, 2n ** 64n - 1n, 0n]);
});

test.each([
  ['chat: what is left of the context', '/v1/chat/completions', chat(), 256 - 10],
  ['chat: max_tokens', '/v1/chat/completions', chat({ max_tokens: 5 }), 5],
  ['chat: max_completion_tokens wins', '/v1/chat/completions', chat({ max_tokens: 5, max_completion_tokens: 7 }), 7],
  ['chat: exactly what is left', '/v1/chat/completions', chat({ max_tokens: 246 }), 246],
  ['completions: 16', '/v1/completions', completion(), 16],
  ['completions: 16 is no wish, so less when less is left', '/v1/completions', completion({ prompt: 'x'.repeat(250) }), 5],
  ['completions: 0 scores the prompt', '/v1/completions', completion({ max_tokens: 0 }), 0],
])('%s', async (_name, path, body, maxTokens) => {
  const server = await testServer();
  expect((await server.post(path, body)).statusCode).toBe(200);
  expect(server.engine.requests[0]?.maxTokens).toBe(maxTokens);
});

test.each([
  ['/v1/chat/completions', chat({ max_tokens: 247 }), 'messages', [10, 247, 256]],
  ['/v1/chat/completions', chat({ max_tokens: 1e15, stream: true }), 'messages', [10, 1e15, 256]],
  ['/v1/chat/completions', chat({ messages: [{ role: 'user', content: 'x'.repeat(300) }] }), 'messages', [308, 1, 256]],
  ['/v1/completions', completion({ max_tokens: 252 }), 'prompt', [5, 252, 256]],
  ['/v1/completions', completion({ prompt: new Array(257).fill(65), max_tokens: 0 }), 'prompt', [257, 0, 256]],
  ['/v1/completions', completion({ prompt: ['a', 'x'.repeat(300)] }), 'prompt', [301, 1, 256]],
])('%s overflows with its own 400: %#', async (path, body, param, counts) => {
  const server = await testServer();
  const response = await server.post(path, body);
  const { error } = response.json();
  expect([response.statusCode, error.code, error.param]).toEqual([400, 'context_length_exceeded', param]);
  for (const count of counts) expect(error.message).toContain(String(count));
  expect(server.engine.requests).toEqual([]);
});

test.each([
  ['/v1/completions', completion({ prompt: 'x'.repeat(1025) }), 'prompt', '1025 bytes has at least 257'],
  ['/v1/completions', completion({ prompt: ['a', 'é'.repeat(600)] }), 'prompt.1', '1200 bytes has at least 300'],
  ['/v1/chat/completions', chat({ messages: [{ role: 'user', content: 'x'.repeat(1025) }] }), 'messages', '1025 bytes'],
  [
    '/v1/chat/completions',
    chat({ messages: new Array(257).fill({ role: 'user', content: '' }) }),
    'messages',
    '0 bytes has at least 257',
  ],
])('%s: what cannot fit is not even encoded: %#', async (path, body, param, part) => {
  const { engine, post } = await testServer();
  const encode = vi.spyOn(engine, path === '/v1/completions' ? 'prepareText' : 'prepareChat');
  const response = await post(path, body);
  const { error } = response.json();
  expect([response.statusCode, error.code, error.param]).toEqual([400, 'context_length_exceeded', param]);
  expect(error.message).toContain(part);
  expect(encode.mock.calls.filter(([input]) => input !== 'a')).toEqual([]);
});

test('roles and parts become the conversation', async () => {
  const server = await testServer();
  const messages = [
    { role: 'developer', content: 'be brief' },
    {
      role: 'user',
      name: 'ann',
      content: [
        { type: 'text', text: 'one' },
        { type: 'text', text: 'two' },
      ],
    },
    { role: 'assistant', content: 'ok', tool_calls: [], refusal: null },
    { role: 'tool', tool_call_id: 't', content: 'result' },
    { role: 'system', content: '' },
  ];
  expect((await server.post('/v1/chat/completions', chat({ messages }))).statusCode).toBe(200);
  expect(server.engine.conversations[0]).toEqual({
    messages: [
      { role: 'system', content: 'be brief' },
      { role: 'user', name: 'ann', content: 'one\ntwo' },
      { role: 'assistant', content: 'ok' },
      { role: 'tool', content: 'result' },
      { role: 'system', content: '' },
    ],
    addGenerationPrompt: true,
    continueFinalMessage: false,
    systemMode: 'first',
    strict: false,
    allowTags: false,
  });
});

test.each([
  ['text', 'ab', [[bos, 97, 98]]],
  ['several texts', ['a', ''], [[bos, 97], [bos]]],
  ['token ids, taken as they are', [97, 98], [[97, 98]]],
  ['several arrays of token ids', [[97], [98, 99]], [[97], [98, 99]]],
  ['nothing: BOS alone', '', [[bos]]],
  ['null: BOS alone', null, [[bos]]],
])('a prompt can be %s', async (_name, prompt, expected) => {
  const server = await testServer();
  expect((await server.post('/v1/completions', completion({ prompt }))).statusCode).toBe(200);
  expect(server.engine.requests.map(({ tokens }) => [...tokens])).toEqual(expected);
});

test.each([
  ['', 'prompt'],
  [null, 'prompt'],
  [['a', ''], 'prompt.1'],
])('%j is a 400 where the tokenizer adds no BOS', async (prompt, param) => {
  const { post } = await testServer({ addBos: false });
  const response = await post('/v1/completions', completion({ prompt }));
  expect([response.statusCode, response.json().error.param]).toEqual([400, param]);
});
