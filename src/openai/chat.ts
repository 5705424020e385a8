// POST /v1/chat/completions: body and prompt -> job, deltas -> chunks or a completion.
import type { Delta, Engine } from '../engine/types.ts';
import type { ChatPrompt } from '../text/types.ts';
import { type ChatPolicy, encodeMessages } from './conversation.ts';
import { invalid } from './errors.ts';
import { EventTemplate, header } from './events.ts';
import { chatLogprobs, type Vocabulary } from './logprobs.ts';
import type { SamplingDefaults } from './sampling.ts';
import { completionTokens, type ModelLimits, type Sampling, seedOf, toSampling } from './sampling.ts';
import type { ChatBody, ConversationBody } from './schema.ts';
import {
  type Choice,
  type Envelope,
  type Job,
  type StreamOptions,
  streamOptions,
  type Usage,
  type WireFormat,
} from './wire.ts';

export interface ChatParts {
  envelope: Envelope;
  body: ChatBody;
  /** From sampling(body), which refuses a wrong body before anything is encoded. */
  sampling: Sampling;
  prompt: ChatPrompt;
  salt: Uint8Array;
}

/** Checks that need no prompt. */
export function chatSampling(body: ChatBody, defaults: SamplingDefaults, limits: ModelLimits): Sampling {
  if (body.top_logprobs != null && body.logprobs !== true) {
    throw invalid('top_logprobs', 'top_logprobs is only allowed when logprobs is true.');
  }
  return toSampling(body, defaults, limits);
}

/** What of a body decides its prompt. */
export type PromptBody = Pick<ChatBody, keyof ConversationBody | 'truncation' | 'max_tokens' | 'max_completion_tokens'>;

const askedTokens = (body: PromptBody): number | null => body.max_completion_tokens ?? body.max_tokens ?? null;

/** With truncation, tokens that are kept free for an answer of no given length: a quarter of the context, and no more than this. */
const roomForAnswer = 256;

export function chatPrompt(
  body: PromptBody,
  policy: ChatPolicy,
  { minTokens }: Pick<Sampling, 'minTokens'>,
  engine: Engine,
): Promise<ChatPrompt> {
  if (body.truncation !== 'drop_oldest') return encodeMessages(body, policy, engine);
  const { maxModelLen } = engine.info;
  const room = askedTokens(body) ?? Math.max(minTokens, Math.min(roomForAnswer, Math.floor(maxModelLen / 4)));
  return encodeMessages(body, policy, engine, maxModelLen - room);
}

export function chatJob({ envelope, body, sampling, prompt, salt }: ChatParts, engine: Engine): Job {
  const { ids: tokens, dropped } = prompt;
  const budget = {
    param: 'messages',
    promptTokens: tokens.length,
    droppedMessages: dropped.messages,
    asked: askedTokens(body),
    fallback: Number.POSITIVE_INFINITY,
    minTokens: sampling.minTokens,
  };
  const maxTokens = completionTokens(budget, engine.info.maxModelLen);
  const logprobs = body.logprobs ? (body.top_logprobs ?? 0) : null;
  const n = body.n ?? 1;
  const request = { ...sampling, tokens, maxTokens, logprobs, promptLogprobs: null, salt };
  const stream = streamOptions(body);
  return {
    envelope,
    requests: Array.from({ length: n }, (_, k) => ({ ...request, seed: seedOf(sampling.seed, k) })),
    n,
    dropped: body.truncation === 'drop_oldest' ? dropped : null,
    stream,
    format: new ChatFormat(engine, envelope, n, logprobs !== null, stream),
  };
}

class ChatFormat implements WireFormat {
  readonly #vocabulary: Vocabulary;
  readonly #envelope: Envelope;
  readonly #n: number;
  readonly #logprobs: boolean;
  readonly #template: EventTemplate;
  #begun = false;

  constructor(vocabulary: Vocabulary, envelope: Envelope, n: number, logprobs: boolean, stream: StreamOptions | null) {
    this.#vocabulary = vocabulary;
    this.#envelope = envelope;
    this.#n = n;
    this.#logprobs = logprobs;
    this.#template = new EventTemplate('chat.completion.chunk', envelope, stream);
  }

  chunk(index: number, { text, logprobs, finish }: Delta): string {
    let events = this.#begun ? '' : this.#begin();
    if (text !== '' || logprobs.length > 0) {
      const content = JSON.stringify(text);
      const scores = this.#logprobs ? JSON.stringify(chatLogprobs(this.#vocabulary, logprobs)) : 'null';
      events += this.#event(index, `{"content":${content}}`, scores, 'null', content);
    }
    return finish === null ? events : events + this.#event(index, '{}', 'null', `"${finish.reason}"`, '');
  }

  usage(usage: Usage): string {
    return this.#template.usage(usage);
  }

  whole(choices: readonly Choice[], usage: Usage): object {
    return {
      ...header('chat.completion', this.#envelope),
      choices: choices.map((choice, index) => ({
        index,
        message: { role: 'assistant', content: choice.text, refusal: null, annotations: [] },
        logprobs: this.#logprobs ? chatLogprobs(this.#vocabulary, choice.logprobs) : null,
        finish_reason: choice.reason,
      })),
      usage,
    };
  }

  /** Clients expect the choices' first chunks in index order, whichever choice has tokens first. */
  #begin(): string {
    this.#begun = true;
    let events = '';
    for (let index = 0; index < this.#n; index++) {
      events += this.#event(index, '{"role":"assistant","content":""}', 'null', 'null', '');
    }
    return events;
  }

  /** All but the index are JSON; `content` is what of the delta depends on the tokens. */
  #event(index: number, delta: string, logprobs: string, reason: string, content: string): string {
    return this.#template.chunk(
      `{"index":${index},"delta":${delta},"logprobs":${logprobs},"finish_reason":${reason}}`,
      content,
    );
  }
}
