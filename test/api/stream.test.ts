// Connections: clients that leave, do not read or wait long, and a server that closes.
import { Agent, type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { chat, completion, events, eventually, type TestServer, testServer } from './server.ts';

const chatUrl = '/v1/chat/completions';

interface Call {
  request: ClientRequest;
  response: Promise<IncomingMessage>;
}

/** A request over a socket, whose response is read only when the test does. */
function call(base: string, path: string, body: unknown, agent?: Agent): Call {
  const request = httpRequest(base + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    agent: agent ?? false,
  });
  const response = new Promise<IncomingMessage>((resolve, reject) => request.on('response', resolve).on('error', reject));
  response.catch(() => {});
  request.end(JSON.stringify(body));
  return { request, response };
}

async function text(response: IncomingMessage): Promise<string> {
  let all = '';
  for await (const part of response.setEncoding('utf8')) all += part;
  return all;
}

/** Resolves when released: a pace that stops the engine until the test goes on. */
function gate() {
  let release = () => {};
  const opened = new Promise<void>((resolve) => {
    release = resolve;
  });
  return { opened, release };
}

const never = () => new Promise<never>(() => {});
const idle = ({ engine }: TestServer) => [engine.running, engine.aborted];

test('headers and pings come before the first token', async () => {
  const { opened, release } = gate();
  const server = await testServer({ pace: () => opened }, { pingSeconds: 0.02 });
  const response = await call(await server.listen(), chatUrl, chat({ stream: true, max_tokens: 1 })).response;
  expect(response.headers['content-type']).toBe('text/event-stream; charset=utf-8');
  let all = '';
  for await (const part of response.setEncoding('utf8')) {
    all += part;
    if (all === ': ping\n\n'.repeat(3)) release();
  }
  expect(all).toMatch(/^(: ping\n\n){3,}data: /);
  expect(events(all)).toHaveLength(3);
});

test.each([
  ['a stream', chatUrl, chat({ stream: true })],
  ['a stream of several choices', chatUrl, chat({ stream: true, n: 4 })],
  ['a whole answer', chatUrl, chat()],
  ['a batch', '/v1/completions', completion({ prompt: ['a', 'b', 'c'], n: 2 })],
])('a client that leaves cancels %s', async (_name, path, body) => {
  const server = await testServer({ pace: (step) => (step < 3 ? Promise.resolve() : never()) });
  const { request } = call(await server.listen(), path, body);
  const choices = path === chatUrl ? ((body as { n?: number }).n ?? 1) : 6;
  await eventually(() => server.engine.running).toBe(choices);
  request.destroy();
  await eventually(() => idle(server)).toEqual([0, choices]);
  await eventually(() => server.requestLog()).toEqual([expect.objectContaining({ status: 499, finish_reason: 'cancelled' })]);
});

test('a client that leaves while its prompt is encoded never reaches the engine', async () => {
  const { opened, release } = gate();
  const server = await testServer();
  const prepare = server.engine.prepareChat.bind(server.engine);
  let waiting = false;
  server.engine.prepareChat = async (conversation) => {
    waiting = true;
    await opened;
    return prepare(conversation);
  };
  const { request } = call(await server.listen(), chatUrl, chat());
  await eventually(() => waiting).toBe(true);
  request.destroy();
  await eventually(() => server.requestLog().length).toBe(1);
  release();
  await server.app.close();
  expect(server.engine.requests).toEqual([]);
});

test('a client that does not read is cut when its buffer is full', async () => {
  const server = await testServer(
    { reply: () => 'x'.repeat(1_000_000), maxModelLen: 2_000_000, pace: burst(100) },
    { streamBuffer: 64 * 1024 },
  );
  const { response } = call(await server.listen(), chatUrl, chat({ stream: true, n: 1, logprobs: true, top_logprobs: 20 }));
  (await response).pause();
  await eventually(() => idle(server)).toEqual([0, 1]);
  expect(server.requestLog()).toEqual([expect.objectContaining({ status: 499, finish_reason: 'cancelled' })]);
});

test.each([
  ['streams', true],
  ['whole answers', false],
])('a client that reads nothing of %s that are finished is cut', async (_name, stream) => {
  const server = await testServer(
    { reply: () => 'x'.repeat(20_000), maxModelLen: 30_000, pace: burst(1000) },
    { streamBuffer: 2 ** 30, unreadSeconds: 0.05 },
  );
  const { request } = call(await server.listen(), chatUrl, chat({ stream, logprobs: true, top_logprobs: 20 }));
  request.on('socket', (socket) => socket.on('connect', () => socket.pause()));
  await eventually(() => server.requestLog().length).toBe(1);
  expect(idle(server)).toEqual([0, 0]);
});

test('a client that leaves cancels what it had pipelined', async () => {
  const server = await testServer({ pace: (step) => (step < 3 ? Promise.resolve() : never()) });
  const { port } = new URL(await server.listen());
  const body = JSON.stringify(chat({ stream: true }));
  const head = `POST ${chatUrl} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
  const socket = connect(Number(port), '127.0.0.1', () => socket.write((head + body).repeat(20)));
  await eventually(() => server.engine.running).toBe(20);
  socket.destroy();
  await eventually(() => idle(server)).toEqual([0, 20]);
  await eventually(() => server.requestLog()).toEqual(Array(20).fill(expect.objectContaining({ status: 499 })));
});

test('streams follow each other on one connection, whatever their characters', async () => {
  const server = await testServer({ reply: (prompt) => `${prompt} né 👋` });
  const base = await server.listen();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  const sockets = new Set();
  for (const content of ['a', 'é', '👋', 'z'.repeat(100)]) {
    const { request, response } = call(base, chatUrl, chat({ stream: true, messages: [{ role: 'user', content }] }), agent);
    expect(texts(await text(await response))).toBe(`user: ${content}\n né 👋`);
    sockets.add(request.socket);
  }
  expect(sockets.size).toBe(1);
});

test('half of the clients leaving at any moment disturbs nobody', async () => {
  const server = await testServer();
  const base = await server.listen();
  const body = chat({ stream: true, seed: 3 });
  const alone = texts(await text(await call(base, chatUrl, body).response));
  const calls = Array.from({ length: 60 }, (_, i) => ({
    ...call(base, chatUrl, body),
    leaves: i % 2 === 0,
    after: (i * 7) % 23,
  }));
  const staying = await Promise.all(
    calls.map(async ({ request, response, leaves, after }) => {
      if (!leaves) return texts(await text(await response));
      for (let turn = 0; turn < after; turn++) await new Promise(setImmediate);
      request.destroy();
      return alone;
    }),
  );
  expect(new Set(staying)).toEqual(new Set([alone]));
  await eventually(() => server.engine.running).toBe(0);
});

test('closing lets a running stream end, and answers 503 to new work', async () => {
  const { opened, release } = gate();
  const server = await testServer({ pace: (step) => (step < 3 ? Promise.resolve() : opened) });
  const base = await server.listen();
  const response = await call(base, chatUrl, chat({ stream: true })).response;
  await eventually(() => server.engine.running).toBe(1);
  const closed = server.app.close();
  const refused = await call(base, chatUrl, chat()).response;
  expect([refused.statusCode, refused.headers['retry-after'], JSON.parse(await text(refused)).error.code]).toEqual([
    503,
    '5',
    'shutting_down',
  ]);
  expect((await fetch(`${base}/ready`)).status).toBe(503);
  expect((await fetch(`${base}/health`)).status).toBe(200);
  release();
  expect(texts(await text(response))).toBe('(no seed) user: hi\n');
  await closed;
  await expect(call(base, chatUrl, chat()).response).rejects.toThrow('ECONNREFUSED');
});

test('closing cuts what has not ended by the deadline, and says so', async () => {
  const server = await testServer({ pace: (step) => (step < 3 ? Promise.resolve() : never()) }, { drainSeconds: 0.01 });
  const base = await server.listen();
  const streamed = call(base, chatUrl, chat({ stream: true }));
  const whole = call(base, chatUrl, chat());
  await eventually(() => server.engine.running).toBe(2);
  const [tail, status] = [streamed.response.then(text), whole.response.then(({ statusCode }) => statusCode)];
  await server.app.close();
  expect(await tail).toMatch(/data: \{"error":\{"message":"The server is shutting down[^\n]*"code":"shutting_down"\}\}\n\n$/);
  expect(await status).toBe(503);
  expect(idle(server)).toEqual([0, 2]);
});

function texts(body: string): string {
  return events<{ choices: { delta: { content?: string } }[] }>(body)
    .map(({ choices }) => choices[0]?.delta.content ?? '')
    .join('');
}

/** Goes round the event loop once in so many tokens. */
const burst = (size: number) => (step: number) =>
  step % size === 0 ? new Promise((resolve) => setImmediate(resolve)) : Promise.resolve();
