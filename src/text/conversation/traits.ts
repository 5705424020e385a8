// What a template takes, learnt by rendering small conversations once: no list of known templates, no reading of their source.
import { type ChatTemplate, type Message, type Role, type TemplateTraits, TextError } from '../types.ts';

/** Of Llama 2's format (generation.py of facebookresearch/llama): plain text, which no tokenizer tells from content. */
const TAGS = ['[INST]', '[/INST]', '<<SYS>>', '<</SYS>>'];

const ROLES: Record<string, Role> = { s: 'system', u: 'user', a: 'assistant', t: 'tool' };

/** "sua": a system, a user and an assistant message, each of a text that no template has. */
function probe(roles: string): Message[] {
  return [...roles].map((letter, i) => ({ role: ROLES[letter] as Role, content: `zq${letter}${i}zq` }));
}

/** A template that refuses even a single user message is given conversations as they are, for its own words about them. */
export function traitsOf(render: ChatTemplate['render']): TemplateTraits {
  let rendered = '';
  /** null when the template refuses, or drops a text. */
  const text = (roles: string, addGenerationPrompt = false): string | null => {
    const messages = probe(roles);
    const prompt = renderOrNull(render, messages, addGenerationPrompt);
    rendered += prompt ?? '';
    return prompt !== null && messages.every(({ content }) => prompt.includes(content)) ? prompt : null;
  };
  const takes = (roles: string) => text(roles) !== null;

  const known = takes('u');
  // For its tags, where none of the others is taken.
  text('suau');
  const runs = !known || (takes('uu') && takes('uaau'));
  const again = text('ua', true);
  const traits = {
    system: !known || takes('su'),
    tool: !known || takes('uat'),
    runs,
    assistantFirst: !known || takes('au'),
    systemOnly: !known || takes('s'),
    // Where roles must alternate, a prompt that ends with an answer as if it were not to go on leaves the model nothing to answer.
    assistantLast: !known || (again !== null && (runs || again !== text('ua'))),
  };
  return { ...traits, tags: TAGS.filter((tag) => rendered.includes(tag)) };
}

function renderOrNull(render: ChatTemplate['render'], messages: Message[], addGenerationPrompt: boolean): string | null {
  try {
    return render({ messages, addGenerationPrompt });
  } catch (error) {
    if (error instanceof TextError) return null;
    throw error;
  }
}
