import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { post, root, serve } from './program.ts';

interface AnswerJson {
  choices: object[];
  usage: object;
}

const blocks = [...readFileSync(join(root, 'README.md'), 'utf8').matchAll(/^```\w*\n([\s\S]*?)^```$/gm)].map(
  ([, block = '']) => block,
);
const [start = '', tests = '', curl = ''] = blocks;

test('the first block serves, the second tests, each in one line', () => {
  expect(start).toBe('npm ci && npm start\n');
  expect(tests).toBe('npm ci && npm test\n');
});

test('the curl of the third block has the answer that stands below it', async () => {
  const [, path = ''] = /127\.0\.0\.1:8000(\S+)/.exec(curl) ?? [];
  const [, body = ''] = /-d '(.*)'$/m.exec(curl) ?? [];
  const [, answer = ''] = /^# (\{.*\})$/m.exec(curl) ?? [];
  const { url } = await serve([]);
  const got = (await (await post(url, path, JSON.parse(body))).json()) as AnswerJson;
  const { choices, usage } = JSON.parse(answer) as AnswerJson;
  expect(got).toMatchObject({ choices, usage });
});
