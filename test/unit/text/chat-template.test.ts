import { describe, expect, test } from 'vitest';
import { loadChatTemplate, noChatTemplate } from '../../../src/text/chat-template.ts';
import type { ChatTemplate, Conversation, Role } from '../../../src/text/types.ts';
import { folderWith } from './references.ts';

const chat = (turns: [Role, string][], addGenerationPrompt = true): Conversation => ({
  messages: turns.map(([role, content]) => ({ role, content })),
  addGenerationPrompt,
});

async function builtIn(name: string): Promise<ChatTemplate> {
  return (await loadChatTemplate(folderWith({}), name)) as ChatTemplate;
}

const QUESTION: [Role, string][] = [['user', 'Hi!']];
const TALK: [Role, string][] = [
  ['system', 'Be brief.'],
  ['user', ' What is 2+2?\n'],
  ['assistant', 'Four.'],
  ['user', 'And 3+3?'],
];

describe('built-in templates, against the published formats', () => {
  // Meta, llama generation.py: bos "[INST] <<SYS>>\n{system}\n<</SYS>>\n\n{user} [/INST] {answer} " eos, for each pair of turns.
  test('llama-2', async () => {
    const template = await builtIn('llama-2');
    expect(template.source).toBe('llama-2');
    expect(template.render(chat(QUESTION))).toBe('<s>[INST] Hi! [/INST]');
    expect(template.render(chat(TALK))).toBe(
      '<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n What is 2+2? [/INST] Four. </s><s>[INST] And 3+3? [/INST]',
    );
  });

  // Meta, Llama 3 model card and ChatFormat.encode_dialog_prompt: contents are stripped.
  test('llama-3', async () => {
    const template = await builtIn('llama-3');
    expect(template.render(chat(TALK))).toBe(
      '<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>' +
        '<|start_header_id|>user<|end_header_id|>\n\nWhat is 2+2?<|eot_id|>' +
        '<|start_header_id|>assistant<|end_header_id|>\n\nFour.<|eot_id|>' +
        '<|start_header_id|>user<|end_header_id|>\n\nAnd 3+3?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n',
    );
    expect(template.render(chat([['tool', '4']], false))).toBe(
      '<|begin_of_text|><|start_header_id|>ipython<|end_header_id|>\n\n4<|eot_id|>',
    );
  });

  // OpenAI, chatml.md version 0, in its raw string form.
  test('chatml', async () => {
    const template = await builtIn('chatml');
    expect(template.render(chat(TALK))).toBe(
      '<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n What is 2+2?\n<|im_end|>\n' +
        '<|im_start|>assistant\nFour.<|im_end|>\n<|im_start|>user\nAnd 3+3?<|im_end|>\n<|im_start|>assistant\n',
    );
    const named = { messages: [{ role: 'system' as const, name: 'example_user', content: 'x' }], addGenerationPrompt: false };
    expect(template.render(named)).toBe('<|im_start|>system name=example_user\nx<|im_end|>\n');
  });

  // Mistral, tokenizer version 1: "[INST] user [/INST] assistant</s>[INST] ...", the system message before the first user's.
  test('mistral', async () => {
    const template = await builtIn('mistral');
    expect(template.render(chat(QUESTION))).toBe('<s>[INST] Hi! [/INST]');
    expect(template.render(chat(TALK))).toBe('<s>[INST] Be brief.\n\n What is 2+2?\n [/INST] Four.</s>[INST] And 3+3? [/INST]');
  });

  test.each(['llama-2', 'mistral'])('%s refuses what its format cannot say', async (name) => {
    const template = await builtIn(name);
    const rule = `The ${name} chat template takes an optional system message, then user and assistant messages in turn; `;
    const refusal = (turns: [Role, string][]) => {
      try {
        return template.render(chat(turns));
      } catch (error) {
        expect(error).toMatchObject({ name: 'TextError' });
        return (error as Error).message;
      }
    };
    expect(refusal([])).toBe(`${rule}there is no user message.`);
    expect(refusal([['system', 'x']])).toBe(`${rule}there is no user message.`);
    expect(refusal([['assistant', 'x']])).toBe(`${rule}a message of role assistant is out of turn.`);
    expect(refusal([...QUESTION, ...QUESTION])).toBe(`${rule}a message of role user is out of turn.`);
    expect(refusal([...QUESTION, ['system', 'x']])).toBe(`${rule}a message of role system is out of turn.`);
    expect(refusal([...QUESTION, ['assistant', 'x']])).toBe(`${rule}the last must be a user message.`);
    expect(template.render(chat([...QUESTION, ['assistant', 'x']], false))).toMatch(/x ?<\/s>$/);
  });
});

describe('where a template comes from', () => {
  const config = (chat_template: unknown) =>
    JSON.stringify({ bos_token: '<s>', eos_token: { content: '</s>' }, chat_template });
  const load = async (files: Record<string, string>, choice: string | null = null) => {
    const template = await loadChatTemplate(folderWith(files), choice);
    return template?.render(chat(QUESTION)) ?? null;
  };

  test('a file named by the user, then chat_template.jinja, then tokenizer_config.json, then none', async () => {
    const files = {
      'tokenizer_config.json': config('config {{ bos_token }}{{ eos_token }}'),
      'chat_template.jinja': 'folder {{ bos_token }}',
    };
    const chosen = `${folderWith({ 'mine.jinja': 'mine {{ eos_token }}' })}/mine.jinja`;
    expect(await load(files, chosen)).toBe('mine </s>');
    expect(await load(files)).toBe('folder <s>');
    expect(await load({ 'tokenizer_config.json': config('config {{ bos_token }}{{ eos_token }}') })).toBe('config <s></s>');
    expect(await load({ 'tokenizer_config.json': config(null) })).toBeNull();
    expect(await load({})).toBeNull();
    expect(noChatTemplate().message).toMatch(/no chat template; .*--chat-template.* llama-2, llama-3, chatml, mistral/);
  });

  test('of several, the default', async () => {
    const named = (name: string) => ({ name, template: `${name}!` });
    expect(await load({ 'tokenizer_config.json': config([named('tool_use'), named('default')]) })).toBe('default!');
    await expect(load({ 'tokenizer_config.json': config([named('tool_use'), named('rag')]) })).rejects.toThrow(
      /has chat templates tool_use, rag but none named "default"/,
    );
    await expect(load({ 'tokenizer_config.json': config(7) })).rejects.toThrow(/must be a string or a list/);
  });

  test('templates see what Hugging Face gives them, and nothing of the host', async () => {
    const text =
      '{{ tools is none }} {{ add_generation_prompt }} {{ strftime_now("%Y") | length }} {{ messages[0].constructor }}{{ process }}';
    expect(await load({ 'chat_template.jinja': text })).toBe('true true 4 ');
  });

  test.each([
    ["'' == false", false],
    ["'' != false", true],
    ["'1' == 1", false],
    ['true == 1', true],
    ['1.0 == 1', true],
    ['none == none', true],
    ["['a', [1]] == ['a', [1]]", true],
    ["['a'] == ['b']", false],
    ["{'a': 1} == {'a': true}", true],
    ["{'a': 1} != {'b': 1}", true],
    ["(messages | length == 1) == ('x' == 'x')", true],
  ])('%s is %s, as in Python', async (expression, value) => {
    const text = `{{ ${expression} }} {% if ${expression} %}yes{% else %}no{% endif %}`;
    expect(await load({ 'chat_template.jinja': text })).toBe(`${value} ${value ? 'yes' : 'no'}`);
  });

  test('errors are one sentence', async () => {
    await expect(load({}, 'lama-2')).rejects.toThrow(
      '--chat-template "lama-2" is neither a file nor one of llama-2, llama-3, chatml, mistral.',
    );
    await expect(load({ 'chat_template.jinja': '{% for %}' })).rejects.toThrow(
      /The chat template .*jinja is not valid Jinja \(.+\)\./,
    );
    await expect(load({ 'chat_template.jinja': '{{ raise_exception("Only cats, please.") }}' })).rejects.toThrow(
      /^Only cats, please\.$/,
    );
    await expect(load({ 'chat_template.jinja': '{{ nothing() }}' })).rejects.toThrow(
      /cannot render this conversation \(.+\)\./,
    );
    await expect(load({ 'tokenizer_config.json': '{' })).rejects.toThrow(/tokenizer_config\.json is not valid JSON/);
  });
});
