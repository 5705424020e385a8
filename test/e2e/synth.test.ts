import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type CompletionJson, finish, post, serve, temporary } from './program.ts';

test('synth tiny, serve it, get an answer', async () => {
  const out = join(temporary(), 'tiny');
  const written = await finish(['synth', '--shape', 'tiny', '--out', out, '--max-position', '256', '--seed', '5']);
  expect(written).toMatchObject({ code: 0 });
  expect(written.stdout).toMatch(/^wrote [\d.]+ KiB of bfloat16 weights to .*tiny; serve it with: gattling serve .*tiny\n$/);
  expect(JSON.parse(readFileSync(join(out, 'config.json'), 'utf8'))).toMatchObject({
    max_position_embeddings: 256,
    vocab_size: 512,
  });

  const { url } = await serve([out]);
  const body = { model: 'tiny', prompt: 'Hello — ☃', max_tokens: 16, temperature: 0, ignore_eos: true };
  const { choices, usage } = (await (await post(url, '/v1/completions', body)).json()) as CompletionJson;
  expect(usage).toMatchObject({ prompt_tokens: 1 + new TextEncoder().encode(body.prompt).length, completion_tokens: 16 });
  expect(choices[0]?.text).not.toBe('');
});

test('equal seeds write equal weights, other seeds others', async () => {
  const weights = async (seed: string) => {
    const out = join(temporary(), 'tiny');
    expect((await finish(['synth', '--shape', 'tiny', '--out', out, '--seed', seed])).code).toBe(0);
    return readFileSync(join(out, readdirSync(out).find((file) => file.endsWith('.safetensors')) ?? ''));
  };
  const [one, same, other] = [await weights('1'), await weights('1'), await weights('2')];
  expect(one.equals(same)).toBe(true);
  expect(one.equals(other)).toBe(false);
});

test('a folder with files is left alone', async () => {
  const { code, stderr } = await finish(['synth', '--shape', 'tiny', '--out', join(import.meta.dirname)]);
  expect(stderr).toMatch(/^gattling: --out .* is not empty; give a new folder, or empty this one first\.\n$/);
  expect(code).toBe(1);
});
