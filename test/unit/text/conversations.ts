// Templates as their authors and others write them, and conversations spelled by one letter a message.
import { loadChatTemplate } from '../../../src/text/chat-template.ts';
import type { ChatTemplate, Conversation, Message, Role } from '../../../src/text/types.ts';
import { folderWith } from './references.ts';

const ROLES: Record<string, Role> = { s: 'system', u: 'user', a: 'assistant', t: 'tool' };

/** "sua": messages S0, U1 and A2. */
export const spelled = (roles: string): Message[] =>
  [...roles].map((letter, i) => ({ role: ROLES[letter] as Role, content: `${letter.toUpperCase()}${i}` }));

export const conversation = (roles: string, more: Partial<Conversation> = {}): Conversation => ({
  messages: spelled(roles),
  addGenerationPrompt: true,
  ...more,
});

export const named = async (name: string) => (await loadChatTemplate(folderWith({}), name)) as ChatTemplate;

export async function written(text: string): Promise<ChatTemplate> {
  const config = JSON.stringify({ bos_token: '<s>', eos_token: '</s>' });
  const folder = folderWith({ 'chat_template.jinja': text, 'tokenizer_config.json': config });
  return (await loadChatTemplate(folder, null)) as ChatTemplate;
}

const IN_TURN = `{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('Roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% endfor %}`;

/** The first Mistral's kind: user and assistant in turn, nothing else, nothing after an answer. */
export const STERN = `{{ bos_token }}${IN_TURN.replaceAll('\n', '')}{% for m in messages %}{% if m.role == 'user' -%}
[INST] {{ m.content }} [/INST]{% else %}{{ m.content }}{{ eos_token }}{% endif %}{% endfor %}`;

/** Says nothing about a role that it does not know. */
export const SILENT = `{% for m in messages %}{% if m.role in ['user', 'assistant'] %}{{ m.role }}: {{ m.content }}|{% endif %}
{%- endfor %}{% if add_generation_prompt %}assistant:{% endif %}`;
