// Dropping whole oldest turns until a prompt fits.
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { fewest, oldTurns } from '../../../src/text/conversation/truncation.ts';
import { encodeChat } from '../../../src/text/prompt.ts';
import { loadTokenizer } from '../../../src/text/tokenizer.ts';
import type { ChatTemplate, Conversation, Message, Tokenizer } from '../../../src/text/types.ts';
import { conversation, named, spelled } from './conversations.ts';
import { MODELS } from './references.ts';
import { random, randomText } from './unicode.ts';

let tokenizer: Tokenizer;
beforeAll(async () => {
  tokenizer = await loadTokenizer(`${MODELS}/mha-rope10k`);
});

test.each([
  ['u', []],
  ['su', []],
  ['uu', []],
  ['uau', [[0, 1]]],
  ['suau', [[1, 2]]],
  ['ususau', [[0, 2, 4]]],
  ['auau', [[0], [1, 2]]],
  ['aa', []],
  [
    'uatauau',
    [
      [0, 1, 2, 3],
      [4, 5],
    ],
  ],
  ['uaua', [[0, 1]]],
])('of %s the turns %j may go', (roles, turns) => {
  expect(oldTurns(spelled(roles))).toEqual(turns);
});

test('the fewest turns are found in few calls', async () => {
  for (let most = 0; most < 24; most++) {
    for (let least = 0; least <= most + 1; least++) {
      const fits = vi.fn(async (n: number) => n >= least);
      expect(await fewest(most, fits)).toBe(Math.min(least, most));
      expect(fits.mock.calls.length).toBeLessThanOrEqual(1 + Math.ceil(Math.log2(most + 1)));
    }
  }
});

/** Without its oldest n turns. */
function without(talk: Conversation, n: number): Conversation {
  const gone = new Set(oldTurns(talk.messages).slice(0, n).flat());
  const { maxPromptTokens: _, ...rest } = talk;
  return { ...rest, messages: talk.messages.filter((_message, i) => !gone.has(i)) };
}

describe.each(['llama-2', 'mistral'])('%s', (name) => {
  let template: ChatTemplate;
  beforeAll(async () => {
    template = await named(name);
  });

  test('no more goes than must, and what is left is as if it had never been more', async () => {
    const next = random(11);
    for (let i = 0; i < 12; i++) {
      const roles = `${next() < 0.5 ? 's' : ''}${'ua'.repeat(Math.floor(next() * 9))}${next() < 0.3 ? 's' : ''}u`;
      const messages = spelled(roles).map((message) => ({ ...message, content: randomText(next, { markup: false }) }));
      const talk = conversation('', { messages, allowTags: true, systemMode: next() < 0.5 ? 'every_turn' : 'first' });
      const whole = await encodeChat(tokenizer, template, talk);
      const maxPromptTokens = Math.floor(whole.ids.length * next() * 1.2) + 1;
      const cut = await encodeChat(tokenizer, template, { ...talk, maxPromptTokens });
      const turns = oldTurns(messages).length;
      const lengths = [];
      for (let n = 0; n <= turns; n++) lengths.push((await encodeChat(tokenizer, template, without(talk, n))).ids.length);
      const fitting = lengths.findIndex((length) => length <= maxPromptTokens);
      const n = fitting < 0 ? turns : fitting;
      const left = without(talk, n);
      expect([...cut.ids]).toEqual([...(await encodeChat(tokenizer, template, left)).ids]);
      expect(cut.dropped.messages).toBe(messages.length - left.messages.length);
    }
  });

  test('spans still count the messages of the request', async () => {
    const messages: Message[] = spelled('suauau').map((message) => ({ ...message, content: message.content.repeat(20) }));
    const { ids } = await encodeChat(tokenizer, template, without(conversation('', { messages }), 2));
    const prompt = await encodeChat(tokenizer, template, { messages, addGenerationPrompt: true, maxPromptTokens: ids.length });
    expect(prompt.spans.map(({ message }) => message).filter((message) => message >= 0)).toEqual([0, 5]);
    const lines = messages.slice(1, 5).map(({ content }) => content);
    expect(prompt.dropped).toEqual({ messages: 4, tokens: (await tokenizer.encode(lines.join('\n'), false)).length });
  });
});

describe('bounds', () => {
  const bounds = { maxModelLen: 100, maxTokenBytes: 8 };
  /** Counts what is rendered after the template is loaded. */
  const watched = async (name: string) => {
    const template = await named(name);
    const render = vi.fn(template.render.bind(template));
    return { template: { source: '', traits: template.traits, render } satisfies ChatTemplate, render };
  };

  test('a long chat is cut by rendering little of it, seldom', async () => {
    const { template, render } = await watched('chatml');
    const messages = spelled('ua'.repeat(10_000).concat('u'));
    const talk = conversation('', { messages, maxPromptTokens: 100 });
    const prompt = await encodeChat(tokenizer, template, talk, bounds);
    expect(prompt.ids.length).toBeLessThanOrEqual(100);
    expect(prompt.dropped.messages).toBeGreaterThan(19_000);
    expect(render.mock.calls.length).toBeLessThanOrEqual(2 * 15);
    for (const [{ messages: rendered }] of render.mock.calls) expect(rendered.length).toBeLessThanOrEqual(100);
  });

  test('what cannot fit is refused without rendering it', async () => {
    const { template, render } = await watched('chatml');
    const refusal = { code: 'context_length_exceeded', index: null };
    const long = conversation('', { messages: [{ role: 'user', content: 'x'.repeat(801) }] });
    await expect(encodeChat(tokenizer, template, long, bounds)).rejects.toMatchObject({
      ...refusal,
      message: "This model's maximum context length is 100 tokens, but the prompt has more; shorten it.",
    });
    const talk = conversation('', { messages: [...spelled('uaua'), ...long.messages], maxPromptTokens: 90 });
    await expect(encodeChat(tokenizer, template, talk, bounds)).rejects.toMatchObject({
      ...refusal,
      message: expect.stringMatching(/the prompt has more even without its oldest turns; shorten it\.$/),
    });
    expect(render).not.toHaveBeenCalled();
  });

  test('nor is an instruction copied into more turns than fit', async () => {
    const { template, render } = await watched('chatml');
    const messages: Message[] = [{ role: 'system', content: 'x'.repeat(2 ** 22) }, ...spelled('ua'.repeat(10_000))];
    const talk = conversation('', { messages, systemMode: 'every_turn' });
    await expect(encodeChat(tokenizer, template, talk, { ...bounds, maxModelLen: 2 ** 20 })).rejects.toMatchObject({
      code: 'context_length_exceeded',
    });
    expect(render).not.toHaveBeenCalled();
  });

  test('when the last turn alone is too long for the wish, it is left whole', async () => {
    const template = await named('mistral');
    const talk = conversation('uau', { maxPromptTokens: 3 });
    const prompt = await encodeChat(tokenizer, template, talk, bounds);
    expect([prompt.text, prompt.dropped.messages]).toEqual(['<s>[INST] U2 [/INST]', 2]);
  });
});
