// A conversation as a prompt: refused, arranged, cut to what fits, rendered and encoded.
import { renderSegments } from './conversation/render.ts';
import { checkContinued, checkStrict, checkTags } from './conversation/rules.ts';
import { fewest, leastTokens, oldTurns } from './conversation/truncation.ts';
import { arrange, complete } from './system-message.ts';
import {
  type ChatPrompt,
  type ChatTemplate,
  type Conversation,
  ConversationError,
  type Dropped,
  type Message,
  type Tokenizer,
  type Turn,
} from './types.ts';

/** What cannot fit is refused before it is rendered. */
export interface Bounds {
  maxModelLen: number;
  /** Bytes of the longest token. */
  maxTokenBytes: number;
}

const UNBOUNDED: Bounds = { maxModelLen: Number.POSITIVE_INFINITY, maxTokenBytes: 1 };

export async function encodeChat(
  tokenizer: Tokenizer,
  template: ChatTemplate,
  conversation: Conversation,
  bounds: Bounds = UNBOUNDED,
): Promise<ChatPrompt> {
  check(conversation, template, tokenizer);
  const { messages, maxPromptTokens } = conversation;
  const old = maxPromptTokens === undefined ? [] : oldTurns(messages);
  let fitting: Encoded | null = null;
  const n = await fewest(old.length, async (count) => {
    const prompt = await encode(count, maxPromptTokens ?? bounds.maxModelLen);
    if (prompt === null || prompt.ids.length > (maxPromptTokens ?? bounds.maxModelLen)) return false;
    fitting = prompt;
    return true;
  });
  const prompt = fitting ?? (await encode(n, bounds.maxModelLen));
  if (prompt === null) throw tooLong(n, bounds);
  return Object.assign(prompt, { dropped: await measure(tokenizer, messages, old.slice(0, n).flat()) });

  /** Without the `count` oldest turns; null: it cannot have as few tokens as `most`. */
  async function encode(count: number, most: number): Promise<Encoded | null> {
    const arrangement = arrange(conversation, template.traits, new Set(old.slice(0, count).flat()));
    if (leastTokens(arrangement, bounds.maxTokenBytes) > most) return null;
    const turns = complete(arrangement);
    const segments = renderSegments(template, turns, conversation, tokenizer.specialStrings);
    const text = segments.map(({ text }) => text).join('');
    // Assigned, not spread: that would find the spans.
    return Object.assign(await tokenizer.encodeSegments(segments), { text, turns: turns.map(sourceOf) });
  }
}

type Encoded = Omit<ChatPrompt, 'dropped'>;

const sourceOf = ({ role, pieces }: Turn) => ({
  role,
  messages: pieces.flatMap(({ message }) => (message < 0 ? [] : [message])),
});

function check(conversation: Conversation, { traits }: ChatTemplate, { specialStrings }: Tokenizer): void {
  checkContinued(conversation);
  if (conversation.strict) checkStrict(conversation, traits);
  // A tag that is a control token to this tokenizer is none inside of content.
  const tags = traits.tags.filter((tag) => !specialStrings.includes(tag));
  if (!conversation.allowTags) checkTags(conversation.messages, tags);
}

function tooLong(turnsDropped: number, { maxModelLen }: Bounds): ConversationError {
  const without = turnsDropped > 0 ? ' even without its oldest turns' : '';
  const limit = `This model's maximum context length is ${maxModelLen} tokens`;
  return new ConversationError('context_length_exceeded', null, `${limit}, but the prompt has more${without}; shorten it.`);
}

/** The texts are encoded as the lines of one: thousands of calls would take seconds. */
async function measure(tokenizer: Tokenizer, messages: readonly Message[], dropped: readonly number[]): Promise<Dropped> {
  if (dropped.length === 0) return { messages: 0, tokens: 0 };
  const lines = dropped.map((i) => messages[i]?.content).join('\n');
  return { messages: dropped.length, tokens: (await tokenizer.encode(lines, false)).length };
}
