// A server that speaks the OpenAI API, as a client sees it.
import { type Message, TextError } from '../text/types.ts';
import { eventData } from './sse.ts';

/** No answer came, or only half of one. */
export class Unreachable extends TextError {
  override name = 'Unreachable';
}

export class Refused extends TextError {
  override name = 'Refused';
  readonly status: number;
  /** The header as it came. */
  readonly retryAfter: string | null;

  constructor(message: string, status: number, retryAfter: string | null) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

export interface Chunk {
  error?: { message?: string };
  choices?: { delta?: { content?: string | null }; finish_reason?: string | null }[];
}

export interface ChatBody {
  model: string;
  messages: readonly Message[];
  max_tokens?: number;
  temperature?: number;
  top_p?: number;
  seed?: number;
}

export interface Remote {
  /** The server's first model; `usage` says how to name one instead. */
  firstModel(usage: string): Promise<string>;
  /** The chunks of one streamed answer, up to [DONE]. */
  chat(body: ChatBody, signal: AbortSignal): AsyncIterable<Chunk>;
}

/** "http://host:8000" and "http://host:8000/v1/" alike mean http://host:8000/v1. */
function baseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (!url || !/^https?:$/.test(url.protocol))
    throw new TextError(`--url must be an http or https address such as http://127.0.0.1:8000/v1, not "${text}".`);
  const path = url.pathname.replace(/\/+$/, '');
  return url.origin + (path === '' ? '/v1' : path);
}

const reason = (error: unknown) => ((error as Error).cause as Error | undefined)?.message ?? (error as Error).message;

async function ask(url: string, init: RequestInit): Promise<Response> {
  const response = await fetch(url, init).catch((error: Error) => {
    if (init.signal?.aborted) throw error;
    throw new Unreachable(`${url} cannot be reached (${reason(error)}); is the server running?`);
  });
  if (response.ok) return response;
  const body = await response.text().catch(() => '');
  let message = body;
  try {
    message = (JSON.parse(body) as Chunk).error?.message ?? body;
  } catch {
    // Not JSON: the text itself is the best there is.
  }
  throw new Refused(`${url} answered ${response.status}: ${message}`, response.status, response.headers.get('retry-after'));
}

async function* chunks(url: string, response: Response, signal: AbortSignal): AsyncGenerator<Chunk> {
  try {
    for await (const data of eventData(response.body ?? new ReadableStream())) {
      if (data === '[DONE]') return;
      const chunk = JSON.parse(data) as Chunk;
      if (chunk.error) throw new TextError(`The server ended the answer: ${chunk.error.message ?? data}`);
      yield chunk;
    }
  } catch (error) {
    // What fetch throws when the connection breaks.
    if (error instanceof TypeError && !signal.aborted) throw new Unreachable(`${url} broke off its answer (${reason(error)}).`);
    throw error;
  }
}

/** A signal for one request: fetch listens to the one that it is given long after, and a run of thousands shares one. */
async function* withOwn<T>(signal: AbortSignal, work: (own: AbortSignal) => AsyncIterable<T>): AsyncGenerator<T> {
  const own = new AbortController();
  const stop = () => own.abort(signal.reason);
  signal.throwIfAborted();
  signal.addEventListener('abort', stop);
  try {
    yield* work(own.signal);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

export function remote(address: string, key: string | undefined): Remote {
  const base = baseUrl(address);
  const headers = { 'content-type': 'application/json', ...(key === undefined ? {} : { authorization: `Bearer ${key}` }) };
  return {
    async firstModel(usage) {
      const { data } = (await (await ask(`${base}/models`, { headers })).json()) as { data?: { id: string }[] };
      if (!data?.[0]) throw new TextError(`${base}/models names no model; give one: ${usage}.`);
      return data[0].id;
    },
    chat(body, signal) {
      const url = `${base}/chat/completions`;
      const init = { method: 'POST', headers, body: JSON.stringify({ ...body, stream: true }) };
      return withOwn(signal, async function* (own) {
        yield* chunks(url, await ask(url, { ...init, signal: own }), own);
      });
    },
  };
}
