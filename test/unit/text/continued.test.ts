// continue_final_message: the prompt ends with the last message's text.
import { beforeAll, expect, test } from 'vitest';
import { encodeChat } from '../../../src/text/prompt.ts';
import { loadTokenizer } from '../../../src/text/tokenizer.ts';
import type { Conversation, Tokenizer } from '../../../src/text/types.ts';
import { conversation, named, STERN, spelled, written } from './conversations.ts';
import { MODELS } from './references.ts';

let tokenizer: Tokenizer;
beforeAll(async () => {
  tokenizer = await loadTokenizer(`${MODELS}/mha-rope10k`);
});

const beginning = (content: string): Conversation => ({
  messages: [...spelled('u'), { role: 'assistant', content }],
  addGenerationPrompt: false,
  continueFinalMessage: true,
});

const U = { 'llama-2': '<s>[INST] U0 [/INST]', chatml: '<|im_start|>user\nU0<|im_end|>\n<|im_start|>assistant\n' };
const LLAMA_3 =
  '<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nU0<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n';

// What apply_chat_template(continue_final_message=True) of transformers 5.18 gives, but for the line that says otherwise.
test.each([
  ['llama-2', 'So it is ', `${U['llama-2']} So it is `],
  ['llama-2', ' x', `${U['llama-2']} x`],
  ['llama-2', '\n', `${U['llama-2']} `],
  ['mistral', 'So it is ', `${U['llama-2']} So it is `],
  ['mistral', ' \n', `${U['llama-2']}  \n`],
  ['chatml', 'So it is ', `${U.chatml}So it is `],
  ['chatml', '', U.chatml],
  ['chatml', ' \n', `${U.chatml} \n`],
  // Trims: the last space goes.
  ['llama-3', 'So it is ', `${LLAMA_3}So it is`],
  // transformers drops the header's newlines.
  ['llama-3', ' \n', LLAMA_3],
])('%s: %j', async (name, content, prompt) => {
  expect((await encodeChat(tokenizer, await named(name), beginning(content))).text).toBe(prompt);
});

test('its text is data, and its tokens are known to be its own', async () => {
  const prompt = await encodeChat(tokenizer, await named('llama-2'), beginning('So </s> it is '));
  expect(prompt.text).toBe(`${U['llama-2']} So </s> it is `);
  expect([...prompt.ids].filter((id) => id === tokenizer.eosId)).toEqual([]);
  expect(prompt.spans.findLast(({ message }) => message >= 0)?.message).toBe(1);
});

test('a run of assistant messages is continued after the last', async () => {
  const talk = conversation('uaa', { addGenerationPrompt: false, continueFinalMessage: true });
  expect((await encodeChat(tokenizer, await written(STERN), talk)).text).toBe('<s>[INST] U0 [/INST]A1\n\nA2');
});

test.each(['u', 'uau', 'uas', 'uat'])('%s has nothing to continue', async (roles) => {
  const talk = conversation(roles, { addGenerationPrompt: false, continueFinalMessage: true });
  await expect(encodeChat(tokenizer, await named('chatml'), talk)).rejects.toMatchObject({
    code: 'invalid_messages',
    index: roles.length - 1,
    message: expect.stringMatching(/the last message must be an assistant message/),
  });
});

test('a template that leaves out the last message is a sentence', async () => {
  const users = await written("{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}");
  await expect(encodeChat(tokenizer, users, beginning('x'))).rejects.toThrow(/leaves out the last message/);
});
