// A body's messages, as text/ takes them, with what the body and the server want done with them.
import type { Engine } from '../engine/types.ts';
import type { ChatPrompt, Conversation, Message, Role, SystemMode } from '../text/types.ts';
import { blaming, invalid, unsupported } from './errors.ts';
import { checkTextFits } from './sampling.ts';
import type { ChatMessage, ConversationBody } from './schema.ts';

/** What a server has decided about conversations. */
export interface ChatPolicy {
  /** Of requests that name none. */
  systemMode: SystemMode;
  /** Messages that the template does not take as they are: true refuses them, false changes them. */
  strictMessages: boolean;
  /** The template's textual tags inside of contents. */
  templateTags: 'refuse' | 'allow';
}

/** maxPromptTokens: whole oldest turns are dropped until the prompt has no more; null: none is. */
export function encodeMessages(
  body: ConversationBody,
  policy: ChatPolicy,
  engine: Engine,
  maxPromptTokens: number | null = null,
): Promise<ChatPrompt> {
  const conversation = toConversation(body, policy);
  if (maxPromptTokens !== null) return blaming('messages', engine.prepareChat({ ...conversation, maxPromptTokens }));
  const texts = conversation.messages.map(({ content }) => content);
  checkTextFits('messages', texts, engine);
  return blaming('messages', engine.prepareChat(conversation));
}

function toConversation(body: ConversationBody, policy: ChatPolicy): Conversation {
  const continueFinalMessage = body.continue_final_message ?? false;
  if (continueFinalMessage && body.add_generation_prompt) {
    throw invalid(
      'add_generation_prompt',
      'add_generation_prompt must be false or left out when continue_final_message is true: the answer has begun already.',
    );
  }
  return {
    messages: body.messages.map(toMessage),
    addGenerationPrompt: body.add_generation_prompt ?? !continueFinalMessage,
    continueFinalMessage,
    systemMode: body.system_mode ?? policy.systemMode,
    strict: policy.strictMessages,
    allowTags: policy.templateTags === 'allow',
  };
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
