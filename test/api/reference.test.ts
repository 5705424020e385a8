// Log-probabilities over HTTP (echo, logprobs, token arrays) against the float64 references.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { fixture, hasStories, type RealServer, realServer, stories } from './real-engine.ts';

interface Reference {
  noise: Record<string, { mean: number; p99: number }>;
  cases: { prompt: number[]; prompt_logprobs: (number | null)[]; greedy: { token: number; top: [number, number][] }[] }[];
}

interface Completion {
  choices: { text: string; logprobs: { token_logprobs: (number | null)[] }; finish_reason: string }[];
  usage: { prompt_tokens: number; completion_tokens: number };
}

async function scores(server: RealServer, prompt: number[]): Promise<number[]> {
  const response = await server.post('/v1/completions', { model: 'm', prompt, echo: true, logprobs: 5, max_tokens: 0 });
  const { choices } = (await response.json()) as Completion;
  const [first, ...rest] = choices[0]?.logprobs.token_logprobs ?? [];
  expect(first).toBeNull();
  return rest as number[];
}

/** Sorted |difference| over prompts and their reference continuations. */
async function errors(server: RealServer, { cases }: Reference): Promise<number[]> {
  const all: number[] = [];
  for (const { prompt, prompt_logprobs, greedy } of cases) {
    const expected = [...prompt_logprobs.slice(1), ...greedy.map(({ top }) => top[0]?.[1])] as number[];
    const found = await scores(server, [...prompt, ...greedy.map(({ token }) => token)]);
    expect(found).toHaveLength(expected.length);
    all.push(...expected.map((value, i) => Math.abs(value - (found[i] ?? Number.NaN))));
  }
  return all.sort((a, b) => a - b);
}

describe.each(['mha-rope10k', 'gqa-llama3rope-tied', 'mqa-f16'])('%s', (name) => {
  const reference = JSON.parse(readFileSync(join(fixture(name), 'reference.json'), 'utf8')) as Reference;

  test.each(['float32', 'bfloat16', 'float16'] as const)('KV in %s, arithmetic in float32', async (kvCacheDtype) => {
    const found = await errors(await realServer(fixture(name), { dtype: 'float32', kvCacheDtype }), reference);
    const { mean, p99 } = kvCacheDtype === 'float32' ? { mean: 0.002, p99: 0.002 } : expectNoise(reference, kvCacheDtype);
    if (kvCacheDtype === 'float32') expect(found.at(-1)).toBeLessThan(0.002);
    expect(found.reduce((sum, value) => sum + value, 0) / found.length).toBeLessThanOrEqual(1.25 * mean);
    expect(found[Math.floor(found.length * 0.99)]).toBeLessThanOrEqual(1.5 * p99);
  });

  test('the default class', async () => {
    const found = await errors(await realServer(fixture(name)), reference);
    const { mean, p99 } = expectNoise(reference, name === 'mqa-f16' ? 'float16' : 'bfloat16');
    expect(found.reduce((sum, value) => sum + value, 0) / found.length).toBeLessThanOrEqual(1.25 * mean);
    expect(found[Math.floor(found.length * 0.99)]).toBeLessThanOrEqual(1.5 * p99);
  });
});

function expectNoise({ noise }: Reference, type: string): { mean: number; p99: number } {
  const found = noise[type];
  if (found === undefined) throw new Error(`reference.json records no noise for ${type}`);
  return found;
}

interface Stories {
  cases: {
    prompt: string;
    prompt_ids: number[];
    generated_ids: number[];
    generated_text: string;
    full_text: string;
    generated_logprobs_fp64: number[];
  }[];
}

describe.skipIf(!hasStories)('stories260K', () => {
  const { cases } = hasStories
    ? (JSON.parse(readFileSync(join(stories, 'reference_greedy.json'), 'utf8')) as Stories)
    : { cases: [] };

  test('greedy text and ids are the reference, in float32', async () => {
    const server = await realServer(stories, { dtype: 'float32' });
    for (const { prompt, prompt_ids, generated_ids, full_text, generated_logprobs_fp64 } of cases) {
      const ask = { model: 'm', max_tokens: generated_ids.length, temperature: 0, logprobs: 1, ignore_eos: true };
      const byIds = (await (await server.post('/v1/completions', { ...ask, prompt: prompt_ids })).json()) as Completion;
      const logprobs = byIds.choices[0]?.logprobs.token_logprobs ?? [];
      expect(logprobs).toHaveLength(generated_ids.length);
      for (const [i, value] of generated_logprobs_fp64.entries()) {
        expect(Math.abs(value - (logprobs[i] ?? Number.NaN))).toBeLessThan(0.002);
      }
      if (prompt === '') continue;
      const byText = (await (await server.post('/v1/completions', { ...ask, prompt })).json()) as Completion;
      expect(byText.usage.prompt_tokens).toBe(prompt_ids.length);
      expect(prompt + byText.choices[0]?.text).toBe(full_text);
    }
  });
});
