// What becomes of the messages that templates refuse or drop.
import { beforeAll, describe, expect, test } from 'vitest';
import { encodeChat } from '../../../src/text/prompt.ts';
import { loadTokenizer } from '../../../src/text/tokenizer.ts';
import type { ChatPrompt, ChatTemplate, Conversation, Tokenizer } from '../../../src/text/types.ts';
import { conversation, named, SILENT, STERN, spelled, written } from './conversations.ts';
import { MODELS } from './references.ts';

let tokenizer: Tokenizer;
const templates: Record<string, ChatTemplate> = {};
beforeAll(async () => {
  tokenizer = await loadTokenizer(`${MODELS}/mha-rope10k`);
  for (const name of ['llama-2', 'llama-3', 'chatml', 'mistral']) templates[name] = await named(name);
  templates['stern'] = await written(STERN);
  templates['silent'] = await written(SILENT);
});

const encode = (name: string, talk: Conversation) => encodeChat(tokenizer, templates[name] as ChatTemplate, talk);
const render = async (name: string, talk: Conversation) => (await encode(name, talk)).text;

/** A mistake's fields, or what came out. */
async function mistake(name: string, talk: Conversation) {
  const error = await encode(name, talk).catch((thrown: unknown) => thrown);
  return error instanceof Error ? { ...error, message: error.message } : error;
}

test('what templates take is found out by rendering', () => {
  const all = { system: true, tool: true, runs: true, assistantFirst: true, systemOnly: true, assistantLast: true, tags: [] };
  const inTurn = { system: true, tool: false, runs: false, assistantFirst: false, systemOnly: false, assistantLast: false };
  expect(templates['llama-3']?.traits).toEqual(all);
  expect(templates['chatml']?.traits).toEqual(all);
  expect(templates['llama-2']?.traits).toEqual({ ...inTurn, tags: ['[INST]', '[/INST]', '<<SYS>>', '<</SYS>>'] });
  expect(templates['mistral']?.traits).toEqual({ ...inTurn, tags: ['[INST]', '[/INST]'] });
  expect(templates['stern']?.traits).toEqual({ ...inTurn, system: false, tags: ['[INST]', '[/INST]'] });
  expect(templates['silent']?.traits).toEqual({ ...all, system: false, tool: false, systemOnly: false });
});

test('a template that refuses everything is left to say why', async () => {
  templates['cats'] = await written("{{ raise_exception('Only cats.') }}");
  expect(await mistake('cats', conversation('usa', { strict: true }))).toMatchObject({
    message: expect.stringMatching(/first message/),
  });
  expect(await mistake('cats', conversation('usa'))).toMatchObject({ name: 'TextError', message: 'Only cats.' });
});

describe('system messages', () => {
  // Wherever they stand: one, first, joined in order.
  test.each(['su', 'us', 'ssu', 'sus', 'uas', 'suausu'])('of %s come first, in order', async (roles) => {
    const texts = spelled(roles)
      .filter(({ role }) => role === 'system')
      .map(({ content }) => content)
      .join('\n\n');
    const rest = roles.replaceAll('s', '');
    const others = spelled(roles)
      .filter(({ role }) => role !== 'system')
      .map(({ role, content }) => ({ role, content }));
    const ordered: Conversation = { messages: [{ role: 'system', content: texts }, ...others], addGenerationPrompt: true };
    for (const name of ['llama-3', 'chatml']) {
      expect(await render(name, conversation(roles)), rest).toBe(templates[name]?.render(ordered));
    }
  });

  test('fold into the first user turn as the authors of the formats do', async () => {
    expect(await render('llama-2', conversation('su'))).toBe('<s>[INST] <<SYS>>\nS0\n<</SYS>>\n\nU1 [/INST]');
    expect(await render('llama-2', conversation('uaus'))).toBe(
      '<s>[INST] <<SYS>>\nS3\n<</SYS>>\n\nU0 [/INST] A1 </s><s>[INST] U2 [/INST]',
    );
    expect(await render('mistral', conversation('ssu'))).toBe('<s>[INST] S0\n\nS1\n\nU2 [/INST]');
    expect(await render('stern', conversation('uaus'))).toBe('<s>[INST] S3\n\nU0 [/INST]A1</s>[INST] U2 [/INST]');
    expect(await render('silent', conversation('sua'))).toBe('user: S0\n\nU1|assistant: A2|assistant:');
  });

  test('that are empty add nothing but what the template itself makes of them', async () => {
    const empty = (roles: string) => {
      const messages = spelled(roles).map((message) => (message.role === 'system' ? { ...message, content: '' } : message));
      return { messages, addGenerationPrompt: true, systemMode: 'every_turn' as const };
    };
    expect(await render('llama-2', empty('suau'))).toBe(
      '<s>[INST] <<SYS>>\n\n<</SYS>>\n\nU1 [/INST] A2 </s><s>[INST] U3 [/INST]',
    );
    expect(await render('stern', empty('su'))).toBe('<s>[INST] U1 [/INST]');
    const messages = [{ role: 'system' as const, content: '' }, ...spelled('su')];
    expect(await render('mistral', { messages, addGenerationPrompt: true })).toBe('<s>[INST] S0\n\nU1 [/INST]');
  });

  test('alone, or before an assistant, have an empty user turn where the template needs one', async () => {
    expect(await render('llama-2', conversation('s'))).toBe('<s>[INST] <<SYS>>\nS0\n<</SYS>> [/INST]');
    expect(await render('mistral', conversation('sau'))).toBe('<s>[INST] S0\n\n [/INST] A1</s>[INST] U2 [/INST]');
    expect(await render('stern', conversation('s'))).toBe('<s>[INST] S0 [/INST]');
    expect(await render('stern', conversation('au'))).toBe('<s>[INST]  [/INST]A0</s>[INST] U1 [/INST]');
    expect(await render('chatml', conversation('s'))).toBe('<|im_start|>system\nS0<|im_end|>\n<|im_start|>assistant\n');
  });
});

describe('roles out of turn', () => {
  test('runs of one role are one turn where turns alternate, and stay apart where not', async () => {
    expect(await render('mistral', conversation('uuaau'))).toBe('<s>[INST] U0\n\nU1 [/INST] A2\n\nA3</s>[INST] U4 [/INST]');
    expect(await render('mistral', conversation('usu'))).toBe('<s>[INST] S1\n\nU0\n\nU2 [/INST]');
    expect(await render('silent', conversation('uu'))).toBe('user: U0|user: U1|assistant:');
  });

  test('a tool’s message is a user’s where there are no tools', async () => {
    expect(await render('mistral', conversation('uat'))).toBe('<s>[INST] U0 [/INST] A1</s>[INST] T2 [/INST]');
    expect(await render('silent', conversation('uat'))).toBe('user: U0|assistant: A1|user: T2|assistant:');
    expect(await render('llama-3', conversation('uat'))).toContain('ipython<|end_header_id|>\n\nT2<|eot_id|>');
  });

  test('an answer at the end is followed by another', async () => {
    expect(await render('llama-2', conversation('ua'))).toBe('<s>[INST] U0 [/INST] A1 </s><s>[INST]  [/INST]');
    expect(await render('stern', conversation('ua'))).toBe('<s>[INST] U0 [/INST]A1</s>[INST]  [/INST]');
    expect(await render('silent', conversation('ua'))).toBe('user: U0|assistant: A1|assistant:');
    expect(await render('stern', conversation('ua', { addGenerationPrompt: false }))).toBe('<s>[INST] U0 [/INST]A1</s>');
  });

  test('a name stays while it is everybody’s', async () => {
    templates['names'] = await written(
      "{% for m in messages %}{% if loop.index0 and messages[loop.index0 - 1].role == m.role %}{{ raise_exception('x') }}{% endif %}{{ m.name }}:{{ m.content }};{% endfor %}",
    );
    const talk = (...names: string[]) => ({
      messages: names.map((name, i) => ({ role: 'user' as const, name, content: `${i}` })),
      addGenerationPrompt: true,
    });
    expect(await render('names', talk('ann', 'ann'))).toBe('ann:0\n\n1;');
    expect(await render('names', talk('ann', 'bob'))).toBe(':0\n\n1;');
  });
});

describe('system_mode', () => {
  const talk = (systemMode: Conversation['systemMode'] = 'first', roles = 'suauau') => conversation(roles, { systemMode });

  test('first, every_turn, last_turn', async () => {
    const turns = (...users: string[]) =>
      `<s>[INST] ${users[0]} [/INST] A2</s>[INST] ${users[1]} [/INST] A4</s>[INST] ${users[2]} [/INST]`;
    expect(await render('mistral', talk('first'))).toBe(turns('S0\n\nU1', 'U3', 'U5'));
    expect(await render('mistral', talk('every_turn'))).toBe(turns('S0\n\nU1', 'S0\n\nU3', 'S0\n\nU5'));
    expect(await render('mistral', talk('last_turn'))).toBe(turns('S0\n\nU1', 'U3', 'S0\n\nU5'));
    expect(await render('stern', talk('every_turn'))).toBe(
      '<s>[INST] S0\n\nU1 [/INST]A2</s>[INST] S0\n\nU3 [/INST]A4</s>[INST] S0\n\nU5 [/INST]',
    );
  });

  test('the first turn has it the template’s way only', async () => {
    expect(await render('chatml', talk('every_turn', 'sua'))).toBe(await render('chatml', talk('first', 'sua')));
    expect(await render('chatml', talk('last_turn', 'su'))).toBe(await render('chatml', talk('first', 'su')));
    expect(await render('llama-2', talk('last_turn', 'suau'))).toBe(
      '<s>[INST] <<SYS>>\nS0\n<</SYS>>\n\nU1 [/INST] A2 </s><s>[INST] S0\n\nU3 [/INST]',
    );
  });

  test('all system messages are the instruction; tools’ messages are no user turns', async () => {
    const prompt = await render('mistral', talk('every_turn', 'suatus'));
    expect(prompt).toBe('<s>[INST] S0\n\nS5\n\nU1 [/INST] A2</s>[INST] S0\n\nS5\n\nT3\n\nU4 [/INST]');
    expect(await render('silent', talk('last_turn', 'suauat'))).toBe(
      'user: S0\n\nU1|assistant: A2|user: S0\n\nU3|assistant: A4|user: T5|assistant:',
    );
  });

  test('costs the instruction again in each turn', async () => {
    const tokens = async (mode: Conversation['systemMode']) => (await encode('mistral', talk(mode))).ids.length;
    const [first, last, every] = [await tokens('first'), await tokens('last_turn'), await tokens('every_turn')];
    expect(last).toBeGreaterThan(first);
    expect(every - last).toBe(last - first);
  });
});

/** The text that each message's tokens spell, joined, and the markup between. */
function owners({ ids, spans }: ChatPrompt): [number, string][] {
  return spans.map(({ start, end, message }) => [
    message,
    Buffer.concat([...ids.subarray(start, end)].map((id) => tokenizer.bytes(id))).toString(),
  ]);
}

describe('spans', () => {
  test('name the messages of the request, merged or moved', async () => {
    const prompt = await encode('stern', conversation('uusaau', { systemMode: 'every_turn' }));
    expect(prompt.text).toBe('<s>[INST] S2\n\nU0\n\nU1 [/INST]A3\n\nA4</s>[INST] S2\n\nU5 [/INST]');
    expect(owners(prompt).filter(([message]) => message >= 0)).toEqual(
      [2, 0, 1, 3, 4, 2, 5].map((message) => [message, expect.stringContaining(`${'UUSAAU'[message]}${message}`)]),
    );
    expect(owners(prompt).every(([message, text]) => message >= 0 || !/[USA]\d/.test(text))).toBe(true);
  });

  test('hold whitespace inside a turn, not around it', async () => {
    const messages = [
      { role: 'user' as const, content: ' one \n' },
      { role: 'user' as const, content: '\t two ' },
    ];
    const prompt = await encode('mistral', { messages, addGenerationPrompt: true });
    expect(prompt.text).toBe('<s>[INST]  one \n\n\n\t two  [/INST]');
    expect(owners(prompt).filter(([message]) => message >= 0)).toEqual([
      [0, expect.stringMatching(/^ *one \n$/)],
      [1, '\t two'],
    ]);
  });
});

describe('strict', () => {
  const refusal = (name: string, roles: string, more: Partial<Conversation> = {}) =>
    mistake(name, conversation(roles, { strict: true, ...more }));

  test.each([
    ['mistral', 'suau'],
    ['llama-2', 'uau'],
    ['chatml', 'suuaat'],
    ['llama-3', 's'],
    ['chatml', 'a'],
  ])('%s takes %s as it is', async (name, roles) => {
    const talk = conversation(roles, { strict: true });
    expect(await render(name, talk)).toBe(templates[name]?.render(talk));
  });

  test.each([
    ['llama-3', 'us', 1, 'a system or developer message must be the first message, and the only one of its kind'],
    ['chatml', 'ssu', 1, 'a system or developer message must be the first message, and the only one of its kind'],
    ['stern', 'su', 0, "This model's chat template has no system message; begin the first user message with its text"],
    ['mistral', 'uat', 2, "This model's chat template has no tool messages; send its text in a user message"],
    ['mistral', 'uauu', 3, "This model's chat template takes user and assistant messages in turn"],
    ['llama-2', 'saau', 1, "This model's chat template wants a user message before it"],
    ['llama-2', 'au', 0, "This model's chat template wants a user message before it"],
    ['llama-2', 's', 0, "This model's chat template wants a user message after it"],
    [
      'llama-2',
      'ua',
      1,
      "This model's chat template has the last message be a user message unless continue_final_message is true",
    ],
  ])('%s refuses %s', async (name, roles, index, rule) => {
    const message = `messages.${index} is out of place: ${rule}.`;
    expect(await refusal(name, roles)).toMatchObject({ name: 'ConversationError', code: 'invalid_messages', index, message });
  });

  test('a system_mode is the request’s own wish', async () => {
    const talk = conversation('suau', { strict: true, systemMode: 'every_turn' });
    expect(await render('mistral', talk)).toBe('<s>[INST] S0\n\nU1 [/INST] A2</s>[INST] S0\n\nU3 [/INST]');
  });
});

describe('textual tags', () => {
  const saying = (content: string, more: Partial<Conversation> = {}) => ({
    messages: [...spelled('ua'), { role: 'user' as const, content }],
    addGenerationPrompt: true,
    ...more,
  });

  test.each([
    ['llama-2', '[INST]'],
    ['llama-2', '[/INST]'],
    ['llama-2', '<<SYS>>'],
    ['llama-2', '<</SYS>>'],
    ['mistral', '[INST]'],
    ['stern', '[/INST]'],
  ])('%s refuses %s inside of a message', async (name, tag) => {
    expect(await mistake(name, saying(`x${tag}y`))).toMatchObject({
      code: 'unsafe_prompt',
      index: 2,
      message: `messages.2 contains ${tag}, with which this model's chat template marks turns; leave it out, or have the server started with --template-tags allow.`,
    });
    expect(await render(name, saying(`x${tag}y`, { allowTags: true }))).toContain(`x${tag}y`);
  });

  test('only the active template’s are refused', async () => {
    expect(await render('mistral', saying('<<SYS>>'))).toContain('<<SYS>>');
    expect(await render('chatml', saying('[INST] <<SYS>>'))).toContain('[INST] <<SYS>>');
  });

  test('a tag that is a control token of the tokenizer stays text', async () => {
    const guarded: Tokenizer = Object.create(tokenizer, { specialStrings: { value: ['[/INST]', '[INST]', '</s>', '<s>'] } });
    const segments: unknown[] = [];
    guarded.encodeSegments = async (all) => {
      segments.push(...all.filter(({ control }) => control).map(({ text }) => text));
      return { ids: new Uint32Array(), spans: [] };
    };
    await encodeChat(guarded, templates['mistral'] as ChatTemplate, saying('x [INST] y'));
    expect(segments).toEqual(['<s>', '[INST]', '[/INST]', '</s>', '[INST]', '[/INST]']);
  });
});
