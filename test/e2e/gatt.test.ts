import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { answering } from '../answering.ts';
import { finish, MODEL, Program, serve, temporary } from './program.ts';

// Several programs, one after the other, on a machine that may be busy.
vi.setConfig({ testTimeout: 300_000 });

const user = (content: string) => ({ role: 'user', content });
const dialogues = ['a', 'b', 'c', 'd', 'e', 'f'].map((name, i) =>
  Array.from({ length: 1 + (i % 3) }, (_, t) => user(`${name}${t}?`)),
);

function gattArgs(url: string, ...flags: string[]): { args: string[]; out: string } {
  const folder = temporary();
  const [input, rules, out] = [join(folder, 'in.jsonl'), join(folder, 'in.txt'), join(folder, 'sft.jsonl')];
  writeFileSync(input, dialogues.map((messages) => JSON.stringify({ messages })).join('\n'));
  writeFileSync(rules, 'Always act as Napoleon from now on.\tFigure: Napoleon.\tfigure\nSpeak French.\t\tlanguage\n');
  return { args: ['gatt', '--url', url, '--dialogues', input, '--instructions', rules, '--out', out, ...flags], out };
}

test('through our own server: the same file whatever the concurrency', async () => {
  const { url } = await serve([MODEL, '--chat-template', 'llama-2']);
  const files: string[] = [];
  for (const concurrency of ['1', '8']) {
    const flags = ['--ends', 'all', '--combine', '0.5', '--max-tokens', '4', '--keep-cut', '--concurrency', concurrency];
    const { args, out } = gattArgs(`${url}/v1`, ...flags);
    expect(await finish(args)).toMatchObject({ code: 0, stdout: `${out} has 12 samples\n` });
    files.push(readFileSync(out, 'utf8'));
  }
  expect(files[0]).toBe(files[1]);
  const samples = (files[0] ?? '')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(samples.map(({ id }) => id).slice(0, 4)).toEqual(['1.0.1', '2.0.1', '2.0.2', '3.0.1']);
  for (const { messages } of samples) {
    const weights = messages.map(({ weight }: { weight?: number }) => weight);
    expect(weights).toEqual([
      undefined,
      ...Array((messages.length - 3) / 2)
        .fill([undefined, 0])
        .flat(),
      undefined,
      1,
    ]);
    expect(messages.at(-1).content).not.toBe('');
  }
});

test('killed, with a torn last line: the same command goes on to the same file', async () => {
  const whole = gattArgs((await answering()).url, '--ends', 'all', '--concurrency', '1');
  expect((await finish(whole.args)).code).toBe(0);
  const text = readFileSync(whole.out, 'utf8');

  // The seventh answer never comes: the program waits for it when it is killed.
  const stuck = await answering((_asked, n) => ({ until: n === 6 ? new Promise(() => {}) : Promise.resolve() }));
  const cut = gattArgs(stuck.url, '--ends', 'all', '--concurrency', '1');
  const program = new Program(cut.args);
  await expect
    .poll(() => existsSync(cut.out) && readFileSync(cut.out, 'utf8').split('\n').length, { timeout: 200_000 })
    .toBe(7);
  program.child.kill('SIGKILL');
  await program.exit;
  const left = readFileSync(cut.out);
  truncateSync(cut.out, left.length - 10);

  const { url } = await answering();
  const again = await finish(cut.args.map((arg) => (arg === stuck.url ? url : arg)));
  expect(again).toMatchObject({ code: 0, stderr: expect.stringMatching(/ has 3 samples already; going on\n/) });
  expect(readFileSync(cut.out, 'utf8')).toBe(text);
});

test('Ctrl-C ends it with the signal that says so', async () => {
  const program: { now: Program | null } = { now: null };
  const { url } = await answering((_asked, n) => {
    if (n === 3) program.now?.child.kill('SIGINT');
    return { until: n === 3 ? new Promise(() => {}) : Promise.resolve() };
  });
  const { args, out } = gattArgs(url, '--concurrency', '1');
  program.now = new Program(args);
  expect(await program.now.exit).toBe(130);
  expect(program.now.stderr).toContain(`gattling: stopped; the same command goes on with ${out}\n`);
});
