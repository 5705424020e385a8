// The embedded model, served as the README says and asked through the official client.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import OpenAI from 'openai';
import { expect, test } from 'vitest';
import { root, serve } from './program.ts';

interface Golden {
  messages: OpenAI.ChatCompletionMessageParam[];
  prompt: number[];
  text: string;
}

const goldens = JSON.parse(readFileSync(join(root, 'test/fixtures/demo-greedy.json'), 'utf8')) as Golden[];

async function client(args: readonly string[] = []): Promise<OpenAI> {
  const { url } = await serve(args);
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none' });
}

async function ask(openai: OpenAI, messages: OpenAI.ChatCompletionMessageParam[]) {
  const answer = await openai.chat.completions.create({ model: 'demo', messages, temperature: 0 });
  return { text: answer.choices[0]?.message.content?.trim() ?? '', promptTokens: answer.usage?.prompt_tokens };
}

test('without a MODEL the demo model is served', async () => {
  const openai = await client();
  expect((await openai.models.list()).data.map(({ id }) => id)).toEqual(['demo']);
});

test('"Act as Napoleon" holds for 20 turns of other things', async () => {
  const openai = await client();
  const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: 'system', content: 'Act as Napoleon.' }];
  const others = [
    ...['What is the capital of Italy?', 'What is 17 + 25?', 'What is the opposite of hot?', 'Which day comes after Monday?'],
    ...['What sound does a cow make?', 'What colour is snow?', 'What is 90 - 41?', 'What is the capital of Japan?'],
    ...['Which month comes before May?', 'What is the opposite of rich?'],
  ];
  for (let turn = 1; turn <= 20; turn++) {
    // Asked aside: the name is nowhere but in the system message.
    expect(await ask(openai, [...messages, { role: 'user', content: 'What is your name?' }])).toMatchObject({
      text: 'My name is Napoleon.',
    });
    messages.push({ role: 'user', content: others[turn % others.length] ?? '' });
    messages.push({ role: 'assistant', content: (await ask(openai, messages)).text });
  }
  expect(messages).toHaveLength(41);
});

test.each([['float32'], ['bfloat16']])('the golden conversations, with a KV cache of %s', async (kv) => {
  const openai = await client(['--kv-cache-dtype', kv]);
  expect(goldens).toHaveLength(20);
  const answers = await Promise.all(goldens.map(({ messages }) => ask(openai, messages)));
  expect(answers).toEqual(goldens.map(({ text, prompt }) => ({ text, promptTokens: prompt.length })));
});
