// Who answers in `gattling chat`: an engine in this process, or a server that speaks the OpenAI API.
import type { ChatConfig } from '../config.ts';
import type { Engine, GenerateRequest } from '../engine/types.ts';
import type { SamplingDefaults } from '../models/generation.ts';
import { type Message, TextError } from '../text/types.ts';
import { eventData } from './sse.ts';

export interface Answerer {
  /** The answer's text in pieces; throws the signal's reason when aborted. */
  answer(messages: Message[], signal: AbortSignal): AsyncIterable<string>;
  close(): Promise<void>;
}

type Sampling = Pick<ChatConfig, 'maxTokens' | 'temperature'>;

function generateRequest(
  tokens: Uint32Array,
  maxTokens: number,
  { temperature }: Sampling,
  defaults: SamplingDefaults,
): GenerateRequest {
  return {
    tokens,
    maxTokens,
    minTokens: 0,
    temperature: temperature ?? defaults.temperature ?? 1,
    topK: defaults.topK ?? 0,
    topP: defaults.topP ?? 1,
    minP: defaults.minP ?? 0,
    presencePenalty: 0,
    frequencyPenalty: 0,
    repetitionPenalty: defaults.repetitionPenalty ?? 1,
    seed: null,
    logprobs: null,
    promptLogprobs: null,
    logitBias: new Map(),
    stop: [],
    stopTokenIds: [],
    ignoreEos: false,
    salt: new Uint8Array(16),
  };
}

export function engineAnswerer(engine: Engine, sampling: Sampling, defaults: SamplingDefaults): Answerer {
  return {
    async *answer(messages, signal) {
      const { ids } = await engine.prepareChat({ messages, addGenerationPrompt: true });
      const room = engine.info.maxModelLen - ids.length;
      if (room < 1) {
        throw new TextError(
          `The conversation has ${ids.length} tokens and the model takes ${engine.info.maxModelLen}; /reset begins a new one.`,
        );
      }
      const maxTokens = sampling.maxTokens > 0 ? Math.min(sampling.maxTokens, room) : room;
      for await (const { text } of engine.generate(generateRequest(ids, maxTokens, sampling, defaults), signal)) yield text;
    },
    close: () => engine.close(),
  };
}

/** "http://host:8000" and "http://host:8000/v1/" alike mean http://host:8000/v1. */
function baseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (!url || !/^https?:$/.test(url.protocol))
    throw new TextError(`--url must be an http or https address such as http://127.0.0.1:8000/v1, not "${text}".`);
  const path = url.pathname.replace(/\/+$/, '');
  return url.origin + (path === '' ? '/v1' : path);
}

interface Chunk {
  error?: { message?: string };
  choices?: { delta?: { content?: string | null } }[];
}

async function ask(url: string, init: RequestInit): Promise<Response> {
  const response = await fetch(url, init).catch((error: Error) => {
    if (init.signal?.aborted) throw error;
    throw new TextError(
      `${url} cannot be reached (${(error.cause as Error | undefined)?.message ?? error.message}); is the server running?`,
    );
  });
  if (response.ok) return response;
  const body = await response.text();
  let message = body;
  try {
    message = (JSON.parse(body) as Chunk).error?.message ?? body;
  } catch {
    // Not JSON: the text itself is the best there is.
  }
  throw new TextError(`${url} answered ${response.status}: ${message}`);
}

export async function serverAnswerer(config: ChatConfig & { url: string }): Promise<Answerer> {
  const base = baseUrl(config.url);
  const [key] = config.apiKey;
  const headers = { 'content-type': 'application/json', ...(key === undefined ? {} : { authorization: `Bearer ${key}` }) };
  const firstModel = async () => {
    const { data } = (await (await ask(`${base}/models`, { headers })).json()) as { data?: { id: string }[] };
    if (!data?.[0]) throw new TextError(`${base}/models names no model; give one: gattling chat MODEL --url ${config.url}.`);
    return data[0].id;
  };
  const model = config.model ?? (await firstModel());
  return {
    async *answer(messages, signal) {
      const { maxTokens, temperature } = config;
      const limit = maxTokens > 0 ? { max_tokens: maxTokens } : {};
      const body = JSON.stringify({
        model,
        messages,
        stream: true,
        ...limit,
        ...(temperature === undefined ? {} : { temperature }),
      });
      const response = await ask(`${base}/chat/completions`, { method: 'POST', headers, body, signal });
      for await (const data of eventData(response.body ?? new ReadableStream())) {
        if (data === '[DONE]') return;
        const chunk = JSON.parse(data) as Chunk;
        if (chunk.error) throw new TextError(`The server ended the answer: ${chunk.error.message ?? data}`);
        yield chunk.choices?.[0]?.delta?.content ?? '';
      }
    },
    async close() {},
  };
}
