import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { eventData } from '../../src/cli/sse.ts';
import { type CompletionJson, finish, hasStories, MODEL, post, root, serve, stories, takenPort, temporary } from './program.ts';

const MODEL_NAME = 'mha-rope10k';
const greedy = { model: MODEL_NAME, prompt: 'The engine', max_tokens: 24, temperature: 0, ignore_eos: true };

async function chunks(response: Response): Promise<CompletionJson[]> {
  expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
  const data: string[] = [];
  for await (const each of eventData(response.body ?? new ReadableStream())) data.push(each);
  expect(data.pop()).toBe('[DONE]');
  return data.map((each) => JSON.parse(each));
}

const textOf = (parts: CompletionJson[]) => parts.map(({ choices }) => choices[0]?.text ?? '').join('');

test('a completion, the same streamed, and one log line for each request', async () => {
  const { program, url } = await serve();
  const whole = (await (await post(url, '/v1/completions', greedy)).json()) as CompletionJson;
  expect(whole.usage.completion_tokens).toBe(24);
  expect(whole.choices[0]?.text).not.toBe('');
  const streamed = await chunks(await post(url, '/v1/completions', { ...greedy, stream: true }));
  expect(textOf(streamed)).toBe(whole.choices[0]?.text);
  expect((await post(url, '/v1/completions', { model: MODEL_NAME })).status).toBe(400);

  program.child.kill('SIGTERM');
  expect(await program.exit).toBe(0);
  expect(program.stderr).toBe('');
  const requests = program.lines.filter(({ msg }) => msg === 'request');
  expect(requests.map(({ status, completion_tokens }) => [status, completion_tokens])).toEqual([
    [200, 24],
    [200, 24],
    [400, undefined],
  ]);
});

test('start-up says the memory plan before it listens', async () => {
  const { program } = await serve([MODEL, '--max-model-len', '128', '--kv-cache-memory', '1MiB']);
  const texts = program.lines.map(({ msg }) => String(msg));
  const [, tokens = '', sequences] =
    /^the KV cache holds ([\d,]+) tokens: (\d+) full-length sequences of 128$/.exec(texts.at(-2) ?? '') ?? [];
  expect(Number(sequences)).toBe(Math.floor(Number(tokens.replaceAll(',', '')) / 128));
  expect(texts.at(-3)).toMatch(/^weights [\d.]+ KiB, KV cache [\d.]+ KiB \(/);
  expect(texts.at(-1)).toMatch(/^listening on http:\/\/127\.0\.0\.1:\d+$/);
});

test('it goes on when nobody reads its log any more', async () => {
  const { program, url } = await serve();
  program.child.stdout.destroy();
  for (let k = 0; k < 3; k++) expect((await post(url, '/v1/completions', greedy)).status).toBe(200);
  program.child.kill('SIGTERM');
  expect(await program.exit).toBe(0);
});

test('SIGTERM: running streams end whole, new requests find nobody, exit code 0', async () => {
  const { program, url } = await serve();
  const body = { ...greedy, max_tokens: 480, n: 8, temperature: 1, stream: true };
  const response = await post(url, '/v1/completions', body);
  program.child.kill('SIGTERM');
  const parts = await chunks(response);
  const reasons = parts.map(({ choices }) => choices[0]?.finish_reason).filter(Boolean);
  expect(reasons).toEqual(Array(8).fill('length'));
  expect(await program.exit).toBe(0);
  await expect(fetch(`${url}/health`)).rejects.toThrow();
});

test('settings from environment and file; a name and a key of one’s own', async () => {
  const file = join(temporary(), 'settings.json');
  writeFileSync(file, JSON.stringify({ 'served-model-name': ['mine', 'also-mine'], api_key: ['from-file'] }));
  const { url } = await serve([], { GATTLING_MODEL: MODEL, GATTLING_CONFIG: file, GATTLING_API_KEY: 'k1,k2' });
  const models = (key: string) => fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
  expect((await models('from-file')).status).toBe(401);
  const { data } = (await (await models('k2')).json()) as { data: { id: string }[] };
  expect(data.map(({ id }) => id)).toEqual(['mine', 'also-mine']);
});

test('--seed makes requests without a seed repeatable, and their choices different', async () => {
  const { url } = await serve([MODEL, '--seed', '11']);
  const body = { ...greedy, temperature: 1, n: 2 };
  const ask = async () =>
    ((await (await post(url, '/v1/completions', body)).json()) as CompletionJson).choices.map(({ text }) => text);
  const first = await ask();
  expect(await ask()).toEqual(first);
  expect(first[0]).not.toBe(first[1]);
});

describe('mistakes at the start: one sentence, exit code 1', () => {
  const cases: [string, string[], RegExp][] = [
    ['wrong flag', ['serve', MODEL, '--max-seqs', '4'], /^gattling: Unknown flag --max-seqs; did you mean --max-num-seqs\?\n$/],
    [
      'missing model',
      ['/nowhere/model', '--port', '0'],
      /^gattling: Model "\/nowhere\/model" does not exist; give a \.gguf file, or a folder with .*\.\n$/,
    ],
    [
      'open to others',
      [MODEL, '--host', '0.0.0.0'],
      /^gattling: --host 0\.0\.0\.0 lets other machines in, so an API key is needed: .*\.\n$/,
    ],
    [
      'foreign address',
      [MODEL, '--host', '192.0.2.1', '--api-key', 'k'],
      /^gattling: --host 192\.0\.2\.1 is no address of this machine; .*\.\n$/,
    ],
    ['unknown template', [MODEL, '--port', '0', '--chat-template', 'llama-9'], /^gattling: [^\n]*llama-9[^\n]*\n$/],
    ['unknown device', [MODEL, '--device', 'tpu'], /^gattling: --device must be one of auto, cpu, cuda, not "tpu"\.\n$/],
  ];
  test.each(cases)('%s', async (_name, args, message) => {
    const { code, stderr } = await finish(args);
    expect(stderr).toMatch(message);
    expect(code).toBe(1);
  });

  test('port in use', async () => {
    const port = await takenPort();
    const { code, stderr } = await finish([MODEL, '--port', String(port)]);
    expect(stderr).toBe(
      `gattling: Port ${port} of 127.0.0.1 is in use; choose another with --port, or --port 0 for any free one.\n`,
    );
    expect(code).toBe(1);
  });

  test('--log-level debug adds the stack', async () => {
    const { stderr } = await finish(['/nowhere/model', '--port', '0', '--log-level', 'debug']);
    expect(stderr).toMatch(/\n {4}at /);
  });
});

test('the built program runs by its own name', () => {
  const help = execFileSync(join(root, 'dist/src/main.js'), ['--help'], { encoding: 'utf8' });
  expect(help).toMatch(/^Gattling serves /);
});

test('--help and --version', async () => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  expect(await finish(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  expect((await finish(['--help'])).stdout).toMatch(/gattling serve \[MODEL\]/);
  expect((await finish([MODEL, '--help'])).stdout).toMatch(/^Usage: gattling serve \[MODEL\]/);
  expect((await finish(['synth', '-h'])).stdout).toMatch(/^Usage: gattling synth/);
});

if (!hasStories) console.warn('Skipped: tests of stories260K, because ../shared/refs/stories260K is not there.');
describe.skipIf(!hasStories)('stories260K', () => {
  test('"Once upon a time" gives the reference’s story, whole and streamed', async () => {
    const { cases } = JSON.parse(readFileSync(join(stories, 'reference_greedy.json'), 'utf8'));
    const { generated_text: story } = cases.find(({ prompt }: { prompt: string }) => prompt === 'Once upon a time');
    const { url } = await serve([stories]);
    const body = { model: 'stories260K', prompt: 'Once upon a time', max_tokens: 64, temperature: 0, ignore_eos: true };
    expect(textOf(await chunks(await post(url, '/v1/completions', { ...body, stream: true })))).toBe(story);
    const whole = (await (await post(url, '/v1/completions', body)).json()) as CompletionJson;
    expect(whole.choices[0]?.text).toBe(story);
  });
});
