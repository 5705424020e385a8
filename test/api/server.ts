// Builds the app over the fake engine, closes it after the test, and keeps what it logged.
import { Writable } from 'node:stream';
import type { InjectOptions, LightMyRequestResponse } from 'fastify';
import pino from 'pino';
import { expect, onTestFinished } from 'vitest';
import { buildApp } from '../../src/server/app.ts';
import type { App } from '../../src/server/context.ts';
import { redact } from '../../src/server/log.ts';
import { type ServerOptions, serverDefaults } from '../../src/server/options.ts';
import { FakeEngine, type FakeOptions } from './fake-engine.ts';

export interface TestServer {
  app: App;
  engine: FakeEngine;
  log: Record<string, unknown>[];
  /** The lines about requests. */
  requestLog(): Record<string, unknown>[];
  /** POSTs a body of JSON. */
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<LightMyRequestResponse>;
  /** Listens on a free port; the address ends in it. */
  listen(): Promise<string>;
}

export const model = 'org/fake-model';

export async function testServer(fake: FakeOptions = {}, options: Partial<ServerOptions> = {}): Promise<TestServer> {
  const log: Record<string, unknown>[] = [];
  const sink = new Writable({
    write(line, _encoding, done) {
      log.push(JSON.parse(String(line)));
      done();
    },
  });
  const engine = new FakeEngine(fake);
  const full: ServerOptions = {
    ...serverDefaults,
    modelNames: [model, 'alias'],
    created: 1_700_000_000,
    version: '1.2.3',
    ...options,
  };
  const app = buildApp({ engine, options: full, logger: pino({ level: 'info', redact }, sink) });
  onTestFinished(() => app.close());
  await app.ready();
  return {
    app,
    engine,
    log,
    requestLog: () => log.filter(({ msg }) => msg === 'request'),
    post: (url, payload, headers = {}) => {
      const json = { 'content-type': 'application/json', ...headers };
      return app.inject({ method: 'POST', url, headers: json, payload: JSON.stringify(payload) } satisfies InjectOptions);
    },
    listen: () => app.listen({ port: 0, host: '127.0.0.1' }),
  };
}

export const chat = (more: object = {}) => ({ model, messages: [{ role: 'user', content: 'hi' }], ...more });
export const completion = (more: object = {}) => ({ model, prompt: 'Once', ...more });

/** The data of each event, [DONE] left out; throws unless the stream is well formed. */
export function events<T>(body: string): T[] {
  const blocks = body.split('\n\n').filter((block) => block !== '' && !block.startsWith(':'));
  if (blocks.some((block) => !block.startsWith('data: '))) throw new Error(`not an event stream: ${body.slice(0, 200)}`);
  if (blocks.at(-1) !== 'data: [DONE]') throw new Error('the stream does not end with [DONE]');
  return blocks.slice(0, -1).map((block) => JSON.parse(block.slice('data: '.length)));
}

/** Waits for a condition; long enough that only a wrong answer fails. */
export const eventually = <T>(value: () => T) => expect.poll(value, { timeout: 30_000 });
