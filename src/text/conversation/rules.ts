// What is refused before anything is rendered: roles out of place where they may not be moved, and tags that are the template's.
import { type Conversation, ConversationError, type Message, type TemplateTraits } from '../types.ts';

const TAKES = "This model's chat template";

function refuse(index: number, rule: string): never {
  throw new ConversationError('invalid_messages', index, `messages.${index} is out of place: ${rule}.`);
}

/** A prefill has to be there. */
export function checkContinued({ messages, continueFinalMessage }: Conversation): void {
  const last = messages.length - 1;
  if (continueFinalMessage && messages[last]?.role !== 'assistant') {
    refuse(last, 'with continue_final_message the last message must be an assistant message, whose text the answer continues');
  }
}

/** Everything that turnsOf would change. */
export function checkStrict({ messages, addGenerationPrompt }: Conversation, traits: TemplateTraits): void {
  messages.forEach((message, i) => {
    const rule = brokenRule(message, messages[i - 1], i, traits);
    if (rule !== null) refuse(i, rule);
  });
  const last = messages.length - 1;
  if (messages[last]?.role === 'assistant' && addGenerationPrompt && !traits.assistantLast) {
    refuse(last, `${TAKES} has the last message be a user message unless continue_final_message is true`);
  }
  if (messages[last]?.role === 'system' && !traits.systemOnly) refuse(last, `${TAKES} wants a user message after it`);
}

function brokenRule({ role }: Message, before: Message | undefined, index: number, traits: TemplateTraits): string | null {
  if (role === 'system') {
    if (index > 0) return 'a system or developer message must be the first message, and the only one of its kind';
    return traits.system ? null : `${TAKES} has no system message; begin the first user message with its text`;
  }
  if (role === 'tool') return traits.tool ? null : `${TAKES} has no tool messages; send its text in a user message`;
  const isFirst = before === undefined || before.role === 'system';
  if (isFirst && role === 'assistant' && !traits.assistantFirst) return `${TAKES} wants a user message before it`;
  if (before?.role === role && !traits.runs) return `${TAKES} takes user and assistant messages in turn`;
  return null;
}

/** Text that the template marks turns with cannot be told from its own: Meta's reference refuses it too (UNSAFE_ERROR). */
export function checkTags(messages: readonly Message[], tags: readonly string[]): void {
  messages.forEach(({ content, name = '' }, i) => {
    const tag = tags.find((each) => content.includes(each) || name.includes(each));
    if (tag === undefined) return;
    throw new ConversationError(
      'unsafe_prompt',
      i,
      `messages.${i} contains ${tag}, with which this model's chat template marks turns; leave it out, or have the server ` +
        'started with --template-tags allow.',
    );
  });
}
