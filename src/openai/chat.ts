// POST /v1/chat/completions: body -> conversation and job, deltas -> chunks or a completion.
import type { Delta, Engine } from '../engine/types.ts';
import type { Conversation, Message, Prompt, Role } from '../text/types.ts';
import { blaming, invalid, unsupported } from './errors.ts';
import { EventTemplate, header } from './events.ts';
import { chatLogprobs, type Vocabulary } from './logprobs.ts';
import type { SamplingDefaults } from './sampling.ts';
import { checkTextFits, completionTokens, type ModelLimits, type Sampling, seedOf, toSampling } from './sampling.ts';
import type { ChatBody, ChatMessage } from './schema.ts';
import {
  type Choice,
  type Envelope,
  type Job,
  type StreamOptions,
  streamOptions,
  type Usage,
  type WireFormat,
} from './wire.ts';

export function encodeMessages(messages: readonly ChatMessage[], engine: Engine): Promise<Prompt> {
  const conversation: Conversation = { messages: messages.map(toMessage), addGenerationPrompt: true };
  const texts = conversation.messages.map(({ content }) => content);
  checkTextFits('messages', texts, engine);
  return blaming('messages', engine.prepareChat(conversation));
}

function toMessage(message: ChatMessage, index: number): Message {
  const at = `messages.${index}`;
  if (message.role === 'tool' && message.tool_call_id == null) {
    throw invalid(`${at}.tool_call_id`, `${at}.tool_call_id is required in a tool message.`);
  }
  const role: Role = message.role === 'developer' ? 'system' : message.role;
  const content = toText(message.content, at);
  return message.name == null ? { role, content } : { role, content, name: message.name };
}

/** Parts become lines of one text. */
function toText(content: ChatMessage['content'], at: string): string {
  if (typeof content === 'string') return content;
  if (content == null) throw invalid(`${at}.content`, `${at}.content must be a string or an array of text parts.`);
  const texts = content.map((part, p) => {
    if (part.type !== 'text') throw unsupported(`${at}.content.${p}`, 'only parts of type "text" are');
    if (part.text == null) throw invalid(`${at}.content.${p}.text`, `${at}.content.${p}.text is required in a text part.`);
    return part.text;
  });
  return texts.join('\n');
}

export interface ChatParts {
  envelope: Envelope;
  body: ChatBody;
  /** From sampling(body), which refuses a wrong body before anything is encoded. */
  sampling: Sampling;
  tokens: Uint32Array;
  salt: Uint8Array;
}

/** Checks that need no prompt. */
export function chatSampling(body: ChatBody, defaults: SamplingDefaults, limits: ModelLimits): Sampling {
  if (body.top_logprobs != null && body.logprobs !== true) {
    throw invalid('top_logprobs', 'top_logprobs is only allowed when logprobs is true.');
  }
  return toSampling(body, defaults, limits);
}

export function chatJob({ envelope, body, sampling, tokens, salt }: ChatParts, engine: Engine): Job {
  const budget = {
    param: 'messages',
    promptTokens: tokens.length,
    asked: body.max_completion_tokens ?? body.max_tokens ?? null,
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
