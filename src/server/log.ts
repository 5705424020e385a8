// One line for each request, without what it said: ids, tokens, times.
import type { FastifyReply, FastifyRequest } from 'fastify';

/** What a request's log line says beyond HTTP; routes fill it in. */
export interface RequestNotes {
  /** performance.now() at arrival. */
  readonly started: number;
  model: string | null;
  promptTokens: number | null;
  completionTokens: number | null;
  cachedTokens: number | null;
  /** Milliseconds from arrival to the first delta. */
  firstToken: number | null;
  /** stop, length, cancelled, error. */
  finish: string | null;
  /** Of a stream that failed after its 200. */
  streamError: number | null;
}

export const newNotes = (): RequestNotes => ({
  started: performance.now(),
  model: null,
  promptTokens: null,
  completionTokens: null,
  cachedTokens: null,
  firstToken: null,
  finish: null,
  streamError: null,
});

/** For pino: no key reaches a log, whoever logs a request's headers. */
export const redact = ['authorization', '*.authorization', '*.*.authorization', '*.*.*.authorization', 'apiKeys', '*.apiKeys'];

export function logRequest(request: FastifyRequest, reply: FastifyReply): void {
  const { notes } = request;
  const cancelled = !reply.raw.writableEnded;
  const line = {
    method: request.method,
    path: request.url.split('?', 1)[0]?.slice(0, 256),
    status: cancelled ? 499 : (notes.streamError ?? reply.raw.statusCode),
    ms: rounded(performance.now() - notes.started),
    model: notes.model ?? undefined,
    prompt_tokens: notes.promptTokens ?? undefined,
    completion_tokens: notes.completionTokens ?? undefined,
    cached_tokens: notes.cachedTokens ?? undefined,
    first_token_ms: notes.firstToken === null ? undefined : rounded(notes.firstToken),
    finish_reason: cancelled ? 'cancelled' : (notes.finish ?? undefined),
  };
  request.log.info(line, 'request');
}

const rounded = (milliseconds: number) => Math.round(milliseconds * 10) / 10;
