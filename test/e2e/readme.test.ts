import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type CompletionJson, post, root, serve } from './program.ts';

const blocks = [...readFileSync(join(root, 'README.md'), 'utf8').matchAll(/^```\w*\n([\s\S]*?)^```$/gm)].map(
  ([, block = '']) => block,
);
const [start = '', tests = '', curl = ''] = blocks;

test('the first block serves, the second tests, each in one line', () => {
  expect(start).toMatch(/^npm ci && npm start -- \S+\n$/);
  expect(tests).toBe('npm ci && npm test\n');
});

test('the curl of the third block has the answer that stands below it', async () => {
  const [, model = ''] = /-- (\S+)/.exec(start) ?? [];
  const [, path = ''] = /127\.0\.0\.1:8000(\S+)/.exec(curl) ?? [];
  const [, body = ''] = /-d '(.*)'$/m.exec(curl) ?? [];
  const [, answer = ''] = /^# (\{.*\})$/m.exec(curl) ?? [];
  const { url } = await serve([model]);
  const got = (await (await post(url, path, JSON.parse(body))).json()) as CompletionJson;
  const { choices, usage } = JSON.parse(answer) as CompletionJson;
  expect(got).toMatchObject({ choices, usage });
});
