// POST /v1/chat/render: the prompt that a chat's body makes, with each token's origin.
import type { ChatPrompt } from '../text/types.ts';
import type { RenderBody } from './schema.ts';
import type { Usage } from './wire.ts';

export interface Rendered {
  object: 'chat.render';
  model: string;
  max_model_len: number;
  prompt: string;
  token_ids: number[];
  /** In order, without gaps: the texts join to the prompt. */
  spans: RenderedSpan[];
  turns: { role: string; messages: number[] }[];
  messages: RenderedMessage[];
  usage: { prompt_tokens: number; markup_tokens: number } & Pick<Usage, 'truncation'>;
}

/** Tokens [start, end) of the prompt; null is the template's own markup. */
interface RenderedSpan {
  message: number | null;
  start: number;
  end: number;
  text: string;
}

interface RenderedMessage {
  role: string;
  /** Copies count: a system message may be in several turns. */
  tokens: number;
  dropped: boolean;
}

export function rendered(body: RenderBody, prompt: ChatPrompt, model: string, maxModelLen: number): Rendered {
  const { ids, text, turns, dropped } = prompt;
  const spans = spansOf(prompt);
  const tokens = tokensOf(spans);
  const usage = { prompt_tokens: ids.length, markup_tokens: tokens.get(null) ?? 0 };
  const truncation = { dropped_messages: dropped.messages, dropped_tokens: dropped.tokens };
  return {
    object: 'chat.render',
    model,
    max_model_len: maxModelLen,
    prompt: text,
    token_ids: Array.from(ids),
    spans,
    turns,
    messages: messagesOf(body, tokens, dropped.messages),
    usage: body.truncation === 'drop_oldest' ? { ...usage, truncation } : usage,
  };
}

function spansOf({ spans, text }: ChatPrompt): RenderedSpan[] {
  let from = 0;
  return spans.map(({ start, end, message, textEnd }) => {
    const shown = text.slice(from, textEnd);
    from = textEnd;
    return { message: message < 0 ? null : message, start, end, text: shown };
  });
}

function tokensOf(spans: readonly RenderedSpan[]): Map<number | null, number> {
  const tokens = new Map<number | null, number>();
  for (const { message, start, end } of spans) tokens.set(message, (tokens.get(message) ?? 0) + end - start);
  return tokens;
}

/** The oldest go first, and never a system message. */
function messagesOf(
  { messages }: RenderBody,
  tokens: ReadonlyMap<number | null, number>,
  numDropped: number,
): RenderedMessage[] {
  let left = numDropped;
  return messages.map(({ role }, m) => {
    const dropped = left > 0 && role !== 'system' && role !== 'developer';
    if (dropped) left--;
    return { role, tokens: tokens.get(m) ?? 0, dropped };
  });
}
