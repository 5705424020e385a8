// What HTTP does around the endpoints: status codes, errors, headers, keys, limits.
import { connect } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { chat, completion, eventually, model, testServer } from './server.ts';

const json = { 'content-type': 'application/json' };
const chatUrl = '/v1/chat/completions';
const errorShape = { message: expect.any(String), type: expect.any(String) };

const statusRows: [name: string, request: object, status: number, error: object, headers?: object][] = [
  ['an unknown path', { url: '/nope' }, 404, { code: 'not_found', param: null }],
  [
    'an unknown path with an unreadable body',
    { method: 'POST', url: '/nope', headers: { 'content-type': 'x/y' }, payload: '{' },
    404,
    { code: 'not_found' },
  ],
  ['GET on a POST route', { url: chatUrl }, 405, { code: 'method_not_allowed' }, { allow: 'POST' }],
  [
    'DELETE on a model',
    { method: 'DELETE', url: '/v1/models/a/b' },
    405,
    { code: 'method_not_allowed' },
    { allow: 'GET, HEAD' },
  ],
  ['OPTIONS', { method: 'OPTIONS', url: '/v1/models' }, 405, { code: 'method_not_allowed' }, { allow: 'GET, HEAD' }],
  ['an unknown model', { url: '/v1/models/other' }, 404, { code: 'model_not_found', param: 'model' }],
  ['a broken escape', { url: '/v1/models/%zz' }, 400, { code: 'invalid_url' }],
  ['no body', { method: 'POST', url: chatUrl, headers: json }, 400, { code: 'invalid_json' }],
  ['broken JSON', { method: 'POST', url: chatUrl, headers: json, payload: '{"secret": ' }, 400, { code: 'invalid_json' }],
  [
    'bytes that are not UTF-8',
    { method: 'POST', url: chatUrl, headers: json, payload: Buffer.from([0x22, 0xff, 0x22]) },
    400,
    { code: 'invalid_json' },
  ],
  [
    'deep nesting',
    { method: 'POST', url: chatUrl, headers: json, payload: '['.repeat(1_000_000) },
    400,
    { code: 'invalid_json' },
  ],
  [
    'deep nesting in an unknown field',
    { method: 'POST', url: chatUrl, headers: json, payload: `{"x":${'{"a":'.repeat(99)}1${'}'.repeat(99)}}` },
    400,
    { code: 'invalid_json' },
  ],
  [
    'a hundred thousand members',
    { method: 'POST', url: chatUrl, headers: json, payload: `{${'"a":1,'.repeat(100_000)}"b":1}` },
    400,
    { code: 'invalid_json' },
  ],
  [
    'a form',
    { method: 'POST', url: chatUrl, headers: { 'content-type': 'application/x-www-form-urlencoded' }, payload: 'a=b' },
    415,
    { code: 'unsupported_media_type' },
  ],
  [
    'text',
    { method: 'POST', url: chatUrl, headers: { 'content-type': 'text/plain' }, payload: '{}' },
    415,
    { code: 'unsupported_media_type' },
  ],
  [
    'a compressed body',
    { method: 'POST', url: chatUrl, headers: { ...json, 'content-encoding': 'gzip' }, payload: '{}' },
    415,
    { code: 'unsupported_media_type' },
  ],
  [
    'a large body',
    { method: 'POST', url: chatUrl, headers: json, payload: `"${'x'.repeat(2000)}"` },
    413,
    { code: 'body_too_large' },
  ],
];

test.each(statusRows)('%s', async (name, request, status, error, headers = {}) => {
  const { app } = await testServer({}, name === 'a large body' ? { bodyLimit: 1000 } : {});
  const response = await app.inject(request);
  expect([response.statusCode, response.json()]).toEqual([
    status,
    { error: expect.objectContaining({ ...errorShape, ...error }) },
  ]);
  expect(response.headers).toMatchObject({
    'content-type': 'application/json; charset=utf-8',
    'x-request-id': expect.any(String),
    ...headers,
  });
  expect(response.body).not.toContain('secret');
});

test.each([
  ['{"model": ', 'The body is not JSON: it ends too early.'],
  ['{"model": x}', /^The body is not JSON: it has a mistake( at position 10)?\.$/],
  ["{'model': 1}", 'The body is not JSON: it has a mistake at position 1.'],
  ['', 'The body is not JSON: it is empty.'],
])('%j is told what is wrong with it', async (payload, message) => {
  const { app } = await testServer();
  const response = await app.inject({ method: 'POST', url: chatUrl, headers: json, payload });
  expect(response.statusCode).toBe(400);
  expect(response.json().error.message).toEqual(message instanceof RegExp ? expect.stringMatching(message) : message);
});

test('a byte-order mark in front of a body is none of its text', async () => {
  const { app } = await testServer();
  const payload = `\ufeff${JSON.stringify(chat())}`;
  expect((await app.inject({ method: 'POST', url: chatUrl, headers: json, payload })).statusCode).toBe(200);
});

test('brackets inside strings are not nesting', async () => {
  const { post } = await testServer({ maxModelLen: 4096 });
  const content = `"${'['.repeat(500)}\\"${'{'.repeat(500)}`;
  expect((await post(chatUrl, chat({ messages: [{ role: 'user', content }], max_tokens: 1 }))).statusCode).toBe(200);
});

test.each([
  [chatUrl, chat({ model: 'gpt-4' })],
  ['/v1/completions', completion({ model: '' })],
])('%s with an unknown model', async (path, body) => {
  const { post } = await testServer();
  const response = await post(path, body);
  expect([response.statusCode, response.json().error]).toMatchObject([
    404,
    { code: 'model_not_found', param: 'model', type: 'invalid_request_error' },
  ]);
});

test('models: all names are listed and found, slashes escaped or not; answers carry the first', async () => {
  const { app, post } = await testServer();
  const object = { id: model, object: 'model', created: 1_700_000_000, owned_by: 'gattling', max_model_len: 256 };
  expect((await app.inject('/v1/models')).json()).toEqual({ object: 'list', data: [object, { ...object, id: 'alias' }] });
  for (const url of ['/v1/models/org/fake-model', '/v1/models/org%2Ffake-model'])
    expect((await app.inject(url)).json()).toEqual(object);
  expect((await post(chatUrl, chat({ model: 'alias' }))).json().model).toBe(model);
});

test('an engine failure is a 500 that says nothing of the engine, and is logged with the request id', async () => {
  const { post, log } = await testServer({ failAfter: 1 });
  const response = await post(chatUrl, chat(), { 'x-request-id': 'find-me' });
  expect([response.statusCode, response.json().error]).toMatchObject([
    500,
    { type: 'server_error', code: 'internal_error', param: null },
  ]);
  expect(response.body).not.toContain('0xdeadbeef');
  expect(response.body).toContain('find-me');
  const line = log.find(({ msg }) => msg === 'request failed');
  expect(line).toMatchObject({ id: 'find-me', err: { message: 'secret detail at 0xdeadbeef' } });
});

test('health, readiness and version', async () => {
  const { app } = await testServer({}, { apiKeys: ['k'] });
  expect((await app.inject('/health')).statusCode).toBe(200);
  expect((await app.inject('/ready')).statusCode).toBe(200);
  expect((await app.inject('/version')).json()).toEqual({ version: '1.2.3' });
});

test.each([
  ['never answers', () => new Promise<never>(() => {})],
  ['fails', () => Promise.reject(new Error('closed'))],
])('an engine that %s is not ready, though the process is healthy', async (_name, stats) => {
  const { app } = await testServer({ stats }, { readySeconds: 0.01 });
  const response = await app.inject('/ready');
  expect([response.statusCode, response.json().error.code, response.headers['retry-after']]).toEqual([
    503,
    'engine_not_ready',
    '5',
  ]);
  expect((await app.inject('/health')).statusCode).toBe(200);
});

test.each([
  ['a sane id comes back', 'abc-123', 'abc-123'],
  ['an id of 128 characters comes back', 'x'.repeat(128), 'x'.repeat(128)],
  ['a longer one is replaced', 'x'.repeat(129), /^req_[0-9a-f]{32}$/],
  ['one with control characters is replaced', 'a\tb', /^req_[0-9a-f]{32}$/],
  ['none is generated', undefined, /^req_[0-9a-f]{32}$/],
])('request ids: %s', async (_name, sent, expected) => {
  const { app, post } = await testServer();
  const headers: Record<string, string> = sent === undefined ? {} : { 'x-request-id': sent };
  const responses = [
    await app.inject({ url: '/health', headers }),
    await app.inject({ url: '/nope', headers }),
    await app.inject({ url: '/v1/models/%zz', headers }),
    await post(chatUrl, chat(), headers),
    await post(chatUrl, chat({ stream: true }), headers),
    await post(chatUrl, chat({ n: 0 }), headers),
  ];
  for (const response of responses)
    expect(response.headers['x-request-id']).toEqual(expected instanceof RegExp ? expect.stringMatching(expected) : expected);
});

test.each([
  ['nothing', {}, undefined],
  [
    'fields that cannot change the text, sorted',
    { user: 'u', store: true, metadata: {}, verbosity: 'low' },
    'metadata,store,user,verbosity',
  ],
  ['unknown fields', { zeta: 1, alpha: 2 }, 'alpha,zeta'],
  [
    'neither harmless values nor nulls',
    { tools: [], tool_choice: 'auto', response_format: { type: 'text' }, modalities: ['text'], foo: null, n: 1 },
    undefined,
  ],
  [
    'inner fields',
    {
      stream: true,
      stream_options: { x: 1 },
      messages: [{ role: 'user', content: [{ type: 'text', text: 'a', cache_control: {} }], y: 1 }],
    },
    'messages.content.cache_control,messages.y,stream_options.x',
  ],
  [
    'hostile names, made safe',
    { 'a\r\nset-cookie: x': 1, ['ü,'.repeat(99)]: 1, '': 1 },
    `?,a??set-cookie??x,${'?'.repeat(64)}`,
  ],
])('x-gattling-ignored lists %s', async (_name, fields, expected) => {
  const { post } = await testServer();
  const response = await post(chatUrl, chat(fields));
  expect([response.statusCode, response.headers['x-gattling-ignored']]).toEqual([200, expected]);
});

test('x-gattling-ignored stays short', async () => {
  const { post } = await testServer();
  const fields = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`field_with_a_rather_long_name_${i}`, 1]));
  const header = String((await post(chatUrl, chat(fields))).headers['x-gattling-ignored']);
  expect(header.length).toBeLessThan(1100);
  expect(header).toMatch(/,\.\.\.$/);
});

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

test('every route but three needs a key, unknown ones too', async () => {
  const { app } = await testServer({}, { apiKeys: ['key-one', 'key-two'] });
  const paths = ['/v1/models', '/v1/models/x', chatUrl, '/v1/completions', '/nope', '/metrics', '/'];
  for (const url of paths) {
    for (const method of ['GET', 'POST'] as const) {
      for (const headers of [
        {},
        bearer('key-three'),
        bearer(''),
        { authorization: 'key-one' },
        { authorization: 'Basic key-one' },
      ]) {
        const response = await app.inject({ method, url, headers });
        expect([url, response.statusCode, response.headers['www-authenticate']]).toEqual([url, 401, 'Bearer']);
        expect(response.json().error).toMatchObject({ code: 'invalid_api_key', type: 'invalid_request_error', param: null });
        expect(response.body).not.toContain('key-three');
      }
    }
  }
  for (const key of ['key-one', 'key-two'])
    expect((await app.inject({ url: '/v1/models', headers: bearer(key) })).statusCode).toBe(200);
  expect((await app.inject({ url: '/v1/models', headers: { authorization: 'bearer  key-one' } })).statusCode).toBe(200);
});

test('the prefix-cache salt is one for each key, and does not tell it', async () => {
  const server = await testServer({}, { apiKeys: ['key-one', 'key-two'] });
  for (const key of ['key-one', 'key-two', 'key-one']) await server.post(chatUrl, chat({ cache_salt: 'mine' }), bearer(key));
  const [one, two, again] = server.engine.requests.map(({ salt }) => Buffer.from(salt).toString('hex'));
  expect(one).toMatch(/^[0-9a-f]{32}$/);
  expect(one).toBe(again);
  expect(one).not.toBe(two);
});

test('requests a minute are limited for each key, and for each address without one', async () => {
  const { app } = await testServer({}, { apiKeys: ['a', 'b'], rateLimit: 2 });
  const get = async (headers: Record<string, string>) => (await app.inject({ url: '/v1/models', headers })).statusCode;
  expect([await get(bearer('a')), await get(bearer('a')), await get(bearer('a'))]).toEqual([200, 200, 429]);
  expect([await get(bearer('b')), await get(bearer('b')), await get(bearer('b'))]).toEqual([200, 200, 429]);
  expect([await get(bearer('x')), await get(bearer('y')), await get({})]).toEqual([401, 401, 429]);
  const response = await app.inject({ url: '/v1/models', headers: bearer('a') });
  expect(response.json().error).toMatchObject({ code: 'rate_limit_exceeded', type: 'rate_limit_error', param: null });
  expect(Number(response.headers['retry-after'])).toBeGreaterThan(0);
  expect(Number(response.headers['retry-after'])).toBeLessThanOrEqual(60);
  expect((await app.inject('/health')).statusCode).toBe(200);
});

test.each([
  ['headers too large', `GET /health HTTP/1.1\r\nHost: x\r\nA: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
  ['no HTTP', 'HELLO\r\n\r\n', 400],
])('%s: an answer in the same shape', async (_name, bytes, status) => {
  const server = await testServer();
  const { port } = new URL(await server.listen());
  const answer = await new Promise<string>((resolve, reject) => {
    let text = '';
    const socket = connect(Number(port), '127.0.0.1', () => socket.write(bytes));
    socket
      .on('data', (data) => (text += data))
      .on('end', () => resolve(text))
      .on('error', reject);
  });
  const [head = '', body = ''] = answer.split('\r\n\r\n');
  expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} .*x-request-id: req_`, 's'));
  expect(JSON.parse(body)).toEqual({
    error: { message: expect.any(String), type: 'invalid_request_error', param: null, code: null },
  });
});

test('a client that sends no HTTP and never closes is let go', async () => {
  const { app, listen } = await testServer();
  const { port } = new URL(await listen());
  const socket = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true }, () => socket.write('HELLO\r\n\r\n'));
  const ended = new Promise((resolve) => socket.on('end', resolve).resume());
  onTestFinished(() => void socket.destroy());
  await ended;
  await expect
    .poll(() => new Promise((resolve) => app.server.getConnections((_error, count) => resolve(count))), { timeout: 30_000 })
    .toBe(0);
});

test('one log line for a request, with tokens and times, without text or keys', async () => {
  const { post, log } = await testServer({}, { apiKeys: ['very-secret-key'] });
  const said = chat({ messages: [{ role: 'user', content: 'private words' }] });
  await post(chatUrl, said, { ...bearer('very-secret-key'), 'x-request-id': 'one' });
  await post(chatUrl, { ...said, stream: true, max_tokens: 3 }, { ...bearer('very-secret-key'), 'x-request-id': 'two' });
  await post(chatUrl, said, { 'x-request-id': 'three' });
  await eventually(() => log.length).toBe(3);
  const common = { msg: 'request', method: 'POST', path: chatUrl, ms: expect.any(Number) };
  const tokens = { model, prompt_tokens: 21, cached_tokens: 16, first_token_ms: expect.any(Number) };
  expect(log).toEqual([
    expect.objectContaining({ ...common, ...tokens, id: 'one', status: 200, finish_reason: 'stop', completion_tokens: 31 }),
    expect.objectContaining({ ...common, ...tokens, id: 'two', status: 200, finish_reason: 'length', completion_tokens: 3 }),
    expect.objectContaining({ ...common, id: 'three', status: 401 }),
  ]);
  expect(JSON.stringify(log)).not.toMatch(/private words|very-secret-key/);
});
