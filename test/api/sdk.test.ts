// The official client over a real socket.
import OpenAI from 'openai';
import { expect, test } from 'vitest';
import type { ServerOptions } from '../../src/server/options.ts';
import type { FakeOptions } from './fake-engine.ts';
import { eventually, model, testServer } from './server.ts';

const messages = [{ role: 'user' as const, content: 'hi' }];

async function client(fake: FakeOptions = {}, options: Partial<ServerOptions> = {}, apiKey = 'key') {
  const server = await testServer(fake, { apiKeys: ['key'], ...options });
  const baseURL = `${await server.listen()}/v1`;
  return { server, openai: new OpenAI({ apiKey, baseURL, maxRetries: 0 }) };
}

test('a chat completion, whole and streamed', async () => {
  const { openai } = await client();
  const whole = await openai.chat.completions.create({ model, messages });
  expect(whole.choices[0]?.message.content).toBe('(no seed) user: hi\n');
  expect(whole._request_id).toMatch(/^req_/);
  let text = '';
  for await (const chunk of await openai.chat.completions.create({ model, messages, stream: true })) {
    text += chunk.choices[0]?.delta.content ?? '';
  }
  expect(text).toBe(whole.choices[0]?.message.content);
});

test.each([1, 3])('the stream helper, n = %i', async (n) => {
  const { openai } = await client({ reply: (_prompt, seed) => `choice ${seed} 👋` });
  const body = { model, messages, n, seed: 0, logprobs: true, top_logprobs: 1, stream_options: { include_usage: true } };
  const stream = openai.chat.completions.stream(body);
  const final = await stream.finalChatCompletion();
  const whole = await openai.chat.completions.create({ model, messages, n, seed: 0, logprobs: true, top_logprobs: 1 });
  expect(final.choices.map(({ message }) => message.content)).toEqual(Array.from({ length: n }, (_, i) => `choice ${i} 👋`));
  expect(final.choices.map(({ message }) => message.role)).toEqual(new Array(n).fill('assistant'));
  expect(final.choices.map(({ finish_reason }) => finish_reason)).toEqual(new Array(n).fill('stop'));
  expect(final.choices.map(({ logprobs }) => logprobs?.content)).toEqual(
    whole.choices.map(({ logprobs }) => logprobs?.content),
  );
  expect(final.usage).toEqual(whole.usage);
});

test('text completions, whole and streamed', async () => {
  const { openai } = await client();
  const whole = await openai.completions.create({ model, prompt: 'Once', max_tokens: 10 });
  let text = '';
  for await (const chunk of await openai.completions.create({ model, prompt: 'Once', max_tokens: 10, stream: true })) {
    text += chunk.choices[0]?.text ?? '';
  }
  expect(text).toBe(whole.choices[0]?.text);
});

test('models', async () => {
  const { openai } = await client();
  expect((await openai.models.list()).data.map(({ id }) => id)).toEqual([model, 'alias']);
  expect((await openai.models.retrieve(model)).id).toBe(model);
});

test.each([
  [OpenAI.BadRequestError, { temperature: 3 }, { param: 'temperature', type: 'invalid_request_error' }],
  [OpenAI.BadRequestError, { max_tokens: 1000 }, { code: 'context_length_exceeded' }],
  [OpenAI.NotFoundError, { model: 'other' }, { code: 'model_not_found', param: 'model' }],
])('%o: %j', async (errorClass, fields, expected) => {
  const { openai } = await client();
  for (const stream of [false, true]) {
    const error = await openai.chat.completions
      .create({ model, messages, stream, ...fields })
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(errorClass);
    expect(error).toMatchObject(expected);
  }
});

test('a wrong key, a limit, an engine failure', async () => {
  const wrong = await client({}, {}, 'wrong');
  await expect(wrong.openai.models.list()).rejects.toThrow(OpenAI.AuthenticationError);
  const limited = await client({}, { rateLimit: 1 });
  await limited.openai.models.list();
  await expect(limited.openai.models.list()).rejects.toThrow(OpenAI.RateLimitError);
  const broken = await client({ failAfter: 0 });
  await expect(broken.openai.chat.completions.create({ model, messages })).rejects.toThrow(OpenAI.InternalServerError);
});

test('a failure in the middle of a stream is an APIError after the first chunks', async () => {
  const { openai } = await client({ failAfter: 2 });
  const seen: string[] = [];
  const read = async () => {
    for await (const chunk of await openai.chat.completions.create({ model, messages, stream: true })) {
      seen.push(chunk.choices[0]?.delta.content ?? '');
    }
  };
  await expect(read()).rejects.toMatchObject({ code: 'internal_error', type: 'server_error' });
  expect(seen).toEqual(['', '(', 'n']);
});

test('leaving the loop cancels', async () => {
  const { server, openai } = await client({
    reply: () => 'x'.repeat(200),
    pace: () => new Promise((resolve) => setTimeout(resolve, 5)),
  });
  for await (const chunk of await openai.chat.completions.create({ model, messages, stream: true })) {
    if (chunk.choices[0]?.delta.content) break;
  }
  await eventually(() => [server.engine.aborted, server.engine.running]).toEqual([1, 0]);
});
