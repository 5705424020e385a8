// A small server that speaks the OpenAI API: its answers tell what they depend on, and a test may make it fail.
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

export interface Asked {
  model: string;
  messages: { role: string; content: string }[];
  seed: number;
  stream: boolean;
  temperature?: number;
  top_p?: number;
  max_tokens?: number;
}

export interface Reply {
  status?: number;
  headers?: Record<string, string>;
  content?: string;
  finish?: string;
  /** What the answer waits for. */
  until?: Promise<unknown>;
  /** The connection breaks in the middle of the answer. */
  breaks?: boolean;
}

export interface Answering {
  /** http://127.0.0.1:PORT */
  url: string;
  asked: Asked[];
  keys: (string | undefined)[];
  mostAtOnce: number;
}

/** Depends on the whole request. */
export const echo = (asked: Asked): string =>
  createHash('sha256')
    .update(JSON.stringify([asked.messages, asked.seed]))
    .digest('hex')
    .slice(0, 12);

async function read(request: IncomingMessage): Promise<Asked> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString());
}

function answer(response: ServerResponse, asked: Asked, reply: Reply): void {
  const { status = 200, headers = {}, content = echo(asked), finish = 'stop' } = reply;
  if (status !== 200) {
    response.writeHead(status, headers).end(JSON.stringify({ error: { message: `no luck with ${status}` } }));
    return;
  }
  const event = (choice: object) => response.write(`data: ${JSON.stringify({ choices: [choice] })}\n\n`);
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  event({ delta: { role: 'assistant', content: content.slice(0, 5) }, finish_reason: null });
  if (reply.breaks) {
    response.destroy();
    return;
  }
  event({ delta: { content: content.slice(5) }, finish_reason: null });
  event({ delta: {}, finish_reason: finish });
  response.end('data: [DONE]\n\n');
}

/** `decide` gets each request and its number, from 0. */
export async function answering(decide: (asked: Asked, number: number) => Reply = () => ({})): Promise<Answering> {
  const seen: Answering = { url: '', asked: [], keys: [], mostAtOnce: 0 };
  let open = 0;
  const server = createServer(async (request, response) => {
    seen.keys.push(request.headers.authorization);
    if (request.url === '/v1/models') return response.end(JSON.stringify({ data: [{ id: 'fake' }, { id: 'other' }] }));
    open++;
    seen.mostAtOnce = Math.max(seen.mostAtOnce, open);
    const asked = await read(request);
    const reply = decide(asked, seen.asked.push(asked) - 1);
    await reply.until;
    open--;
    return answer(response, asked, reply);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  seen.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return seen;
}
