// Requests to the Hub: its token to nobody else, no silence without end, no answer larger than it may be.

import { retryAfterMs } from '../retry-after.ts';
import { ConnectionError, HubError, StatusError } from './errors.ts';
import { type Attempts, persist } from './retry.ts';

export interface Connection extends Attempts {
  endpoint: string;
  token: string | null;
}

export interface Answer {
  status: number;
  headers: Headers;
  /** Ends with a ConnectionError when the connection does. */
  chunks: AsyncIterable<Uint8Array>;
}

/** Listings of a repository are 1000 entries a page, of at most a few hundred bytes. */
const MOST_JSON = 64 * 2 ** 20;

/** "connect ECONNREFUSED 127.0.0.1:1": fetch hides the reason in causes. */
function reasonOf(error: unknown): string {
  let innermost = error as Error & { code?: string };
  while (innermost.cause instanceof Error) innermost = innermost.cause as Error & { code?: string };
  return innermost.message || innermost.code || String(error);
}

function broken(error: unknown, signal: AbortSignal): unknown {
  signal.throwIfAborted();
  return error instanceof ConnectionError ? error : new ConnectionError(reasonOf(error));
}

async function* readBody(body: AsyncIterable<Uint8Array>, alarm: NodeJS.Timeout, signal: AbortSignal) {
  try {
    for await (const chunk of body) {
      alarm.refresh();
      yield chunk;
      alarm.refresh();
    }
  } catch (error) {
    throw broken(error, signal);
  } finally {
    clearTimeout(alarm);
  }
}

/** One request; redirects are followed, and fetch drops the token where they leave the Hub. Throws StatusError and ConnectionError. */
export async function request(url: string, connection: Connection, headers: Record<string, string> = {}): Promise<Answer> {
  const { endpoint, token, signal, patience } = connection;
  const silence = new AbortController();
  const alarm = setTimeout(
    () => silence.abort(new ConnectionError(`no byte for ${patience.silence / 1000} s`)),
    patience.silence,
  );
  const authorization = token !== null && new URL(url).origin === new URL(endpoint).origin ? `Bearer ${token}` : null;
  try {
    const response = await fetch(url, {
      // Sizes and checksums are of the file as it is.
      headers: { 'user-agent': 'gattling', 'accept-encoding': 'identity', ...headers, ...(authorization && { authorization }) },
      signal: AbortSignal.any([signal, silence.signal]),
    });
    if (!response.ok) {
      await response.body?.cancel();
      const asked = retryAfterMs(response.headers.get('retry-after'), Date.now());
      throw new StatusError(response.status, response.headers.get('x-error-code') ?? '', asked);
    }
    const body = (response.body ?? []) as AsyncIterable<Uint8Array>;
    return { status: response.status, headers: response.headers, chunks: readBody(body, alarm, signal) };
  } catch (error) {
    clearTimeout(alarm);
    throw error instanceof StatusError ? error : broken(error, signal);
  }
}

async function readAll({ chunks }: Answer, url: string): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.length;
    if (size > MOST_JSON) throw new HubError(`${url} answers with more than ${MOST_JSON} bytes; check HF_ENDPOINT.`);
    parts.push(chunk);
  }
  return Buffer.concat(parts);
}

/** For @huggingface/hub's calls: whole answers, tried again as patience allows. What is not well never reaches the library. */
export function patientFetch(connection: Connection): typeof fetch {
  return async (input, init) => {
    const url = String(input instanceof Request ? input.url : input);
    return persist(async () => {
      const answer = await request(url, connection, Object.fromEntries(new Headers(init?.headers)));
      return new Response(await readAll(answer, url), { status: answer.status, headers: answer.headers });
    }, connection);
  };
}
