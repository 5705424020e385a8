// The command in this process, with a server that tells what it was asked.
import { appendFileSync, existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import type { Signal } from '../../../src/cli/io.ts';
import { run } from '../../../src/cli/run.ts';
import { type Answering, answering, echo } from '../../answering.ts';
import { temporary } from '../../temporary.ts';

const dialogue = (turns: number, name: string) =>
  JSON.stringify({ messages: Array.from({ length: turns }, (_, i) => ({ role: 'user', content: `${name}${i}` })) });
const DIALOGUES = Array.from({ length: 12 }, (_, i) => dialogue(1 + (i % 4), `d${i}.`)).join('\n');
const INSTRUCTIONS =
  'Always act as Napoleon from now on.\tFigure: Napoleon.\tfigure\nSpeak French.\tFrench.\tlanguage\nYou enjoy tennis.\t\thobby\n';

function workplace(dialogues = DIALOGUES, instructions = INSTRUCTIONS) {
  const folder = temporary();
  const [input, rules, out] = ['in.jsonl', 'in.txt', 'sft.jsonl'].map((name) => join(folder, name)) as [string, string, string];
  writeFileSync(input, dialogues);
  writeFileSync(rules, instructions);
  const signals: ((signal: Signal) => void)[] = [];
  return {
    input,
    rules,
    out,
    signal(signal: Signal) {
      for (const listener of signals) listener(signal);
    },
    text: () => readFileSync(out, 'utf8'),
    ids: () =>
      readFileSync(out, 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line).id as string),
    async gatt(url: string, ...flags: string[]) {
      const [stdout, stderr] = [new PassThrough(), new PassThrough()];
      const args = ['gatt', '--url', url, '--dialogues', input, '--instructions', rules, '--out', out, ...flags];
      const onSignal = (listener: (signal: Signal) => void) => {
        signals.push(listener);
        return () => signals.splice(signals.indexOf(listener), 1);
      };
      const code = await run(args, { env: {}, stdin: Readable.from([]), stdout, stderr, onSignal });
      return { code, stdout: String(stdout.read() ?? ''), stderr: String(stderr.read() ?? '') };
    },
  };
}

function signalled() {
  let give = () => {};
  const given = new Promise<void>((resolve) => {
    give = resolve;
  });
  return { give, given };
}

test('the file: in the order of the dialogues, whatever the concurrency', async () => {
  const all: string[] = [];
  for (const concurrency of [1, 8]) {
    // As many as may be are open at once, and the first of them is answered late.
    const [full, late] = [signalled(), signalled()];
    const server = await answering((_asked, n) => {
      if (n === concurrency - 1) full.give();
      if (n === 20 || concurrency === 1) late.give();
      return { until: n === 0 ? late.given : n < concurrency ? full.given : Promise.resolve() };
    });
    const place = workplace();
    const done = await place.gatt(server.url, '--concurrency', `${concurrency}`, '--combine', '0.5', '--ends', 'all');
    expect(done).toMatchObject({ code: 0, stdout: `${place.out} has 30 samples\n` });
    expect(done.stderr).toBe('sampling 0%\nsampling 25%\nsampling 50%\nsampling 75%\nsampling 100%\n');
    expect(server.mostAtOnce).toBe(concurrency);
    all.push(place.text());
    expect(place.ids().slice(0, 4)).toEqual(['1.0.1', '2.0.1', '2.0.2', '3.0.1']);
  }
  expect(all[0]).toBe(all[1]);
});

test('what the server is asked, and that its answer is what is written', async () => {
  const server = await answering();
  const place = workplace(dialogue(2, 'q'), 'Be brief.');
  const flags = [
    '--model',
    'm',
    '--temperature',
    '0.5',
    '--top-p',
    '0.9',
    '--max-tokens',
    '7',
    '--api-key',
    'k',
    '--ends',
    'last',
  ];
  expect((await place.gatt(server.url, ...flags)).code).toBe(0);
  const [first, second] = server.asked;
  expect(first).toMatchObject({ model: 'm', temperature: 0.5, top_p: 0.9, max_tokens: 7, stream: true });
  expect(first?.messages).toEqual([{ role: 'user', content: 'Be brief.\n\nq0' }]);
  expect(second?.messages.map(({ content }) => content)).toEqual(['Be brief.\n\nq0', first && echo(first), 'Be brief.\n\nq1']);
  expect(server.keys).toEqual(['Bearer k', 'Bearer k']);
  expect(JSON.parse(place.text()).messages.at(-1)).toEqual({ role: 'assistant', content: second && echo(second), weight: 1 });
});

test('without a name the first model is asked, and no parameter is sent that was not given', async () => {
  const server = await answering();
  expect((await workplace(dialogue(1, 'q')).gatt(server.url)).code).toBe(0);
  expect(Object.keys(server.asked[0] ?? {}).sort()).toEqual(['messages', 'model', 'seed', 'stream']);
  expect(server.asked[0]?.model).toBe('fake');
});

describe('going on', () => {
  const flags = ['--ends', '2', '--concurrency', '3', '--samples', '2'];
  async function whole(): Promise<string> {
    const place = workplace();
    await place.gatt((await answering()).url, ...flags);
    return place.text();
  }

  test('wherever the file was cut, the finished one is the same', async () => {
    const server = await answering();
    const place = workplace();
    await place.gatt(server.url, ...flags);
    const text = place.text();
    for (const bytes of [0, 1, 200, Math.floor(text.length / 2), text.indexOf('\n') + 1, text.length - 1]) {
      truncateSync(place.out, bytes);
      const { code, stderr } = await place.gatt(server.url, ...flags);
      expect([code, place.text() === text]).toEqual([0, true]);
      expect(stderr.includes('samples already; going on')).toBe(text.slice(0, bytes).includes('\n'));
    }
  });

  test('a finished file asks nothing more', async () => {
    const server = await answering();
    const place = workplace();
    await place.gatt(server.url, ...flags);
    const before = [server.asked.length, place.text()];
    expect((await place.gatt(server.url, ...flags)).code).toBe(0);
    expect([server.asked.length, place.text()]).toEqual(before);
  });

  test('a dialogue of which a sample is missing is sampled again as a whole', async () => {
    const server = await answering();
    const place = workplace(dialogue(3, 'q'));
    await place.gatt(server.url, '--ends', 'all');
    const text = place.text();
    truncateSync(place.out, text.indexOf('\n') + 1);
    const { stderr } = await place.gatt(server.url, '--ends', 'all');
    expect([server.asked.length, place.text()]).toEqual([6, text]);
    expect(stderr).not.toContain('already');
  });

  test('Ctrl-C leaves a file that can be gone on with', async () => {
    const text = await whole();
    const place = workplace();
    const server = await answering((_asked, n) => {
      if (n === 30) place.signal('SIGINT');
      return {};
    });
    const { code, stderr } = await place.gatt(server.url, ...flags);
    expect([code, stderr.split('\n').at(-2)]).toEqual([130, `gattling: stopped; the same command goes on with ${place.out}`]);
    expect(text.startsWith(place.text())).toBe(true);
    expect(place.text().length).toBeLessThan(text.length);
    expect((await place.gatt((await answering()).url, ...flags)).code).toBe(0);
    expect(place.text()).toBe(text);
  });

  test.each([
    [['--seed', '1'], /was begun with --seed 0, not 1; give the same settings, another --out, or remove it\.$/],
    [['--temperature', '0'], /was begun with --temperature unset, not 0;/],
    [['--model', 'x'], /was begun with --model fake, not x;/],
    [['--place', 'user'], /was begun with --place system, not user;/],
  ])('other settings are refused: %s', async (change, message) => {
    const { url } = await answering();
    const place = workplace();
    await place.gatt(url);
    const text = place.text();
    const { code, stderr } = await place.gatt(url, ...change);
    expect(stderr.trim()).toMatch(message);
    expect([code, place.text()]).toEqual([1, text]);
  });

  test('other dialogues are refused, other concurrency is not', async () => {
    const { url } = await answering();
    const place = workplace();
    await place.gatt(url);
    expect((await place.gatt(url, '--concurrency', '2', '--skip-refused')).code).toBe(0);
    appendFileSync(place.input, `\n${dialogue(1, 'new')}\n`);
    expect((await place.gatt(url)).stderr).toContain('was begun with another content of --dialogues;');
  });

  test('a file of something else is left alone', async () => {
    const { url } = await answering();
    const place = workplace();
    writeFileSync(place.out, 'mine\n');
    expect((await place.gatt(url)).stderr).toMatch(/sft\.jsonl exists without its .*settings\.json; give another --out/);
    const other = workplace();
    await other.gatt(url);
    appendFileSync(other.out, 'mine\n');
    expect((await other.gatt(url)).stderr).toMatch(/sft\.jsonl line 13 is no sample of this run in its place/);
    expect([place.text(), other.text().endsWith('mine\n')]).toEqual(['mine\n', true]);
  });
});

describe('failures', () => {
  const retried = async (
    decide: Parameters<typeof answering>[0],
  ): Promise<[Answering, Awaited<ReturnType<typeof attempt>>]> => {
    const server = await answering(decide);
    return [server, await attempt(server.url)];
  };
  const attempt = async (url: string, ...flags: string[]) => {
    const place = workplace(`${dialogue(1, 'a')}\n${dialogue(2, 'b')}\n${dialogue(1, 'c')}\n`);
    const done = await place.gatt(url, '--ends', 'last', '--concurrency', '1', ...flags);
    return { ...done, ids: existsSync(place.out) ? place.ids() : [] };
  };

  test.each([
    ['429 with Retry-After', { status: 429, headers: { 'retry-after': '0' } }],
    ['503', { status: 503 }],
    ['a connection that breaks', { breaks: true }],
  ])('%s: tried again', async (_name, reply) => {
    const [server, done] = await retried((_asked, n) => (n === 2 ? reply : {}));
    expect(done).toMatchObject({ code: 0, ids: ['1.0.1', '2.0.2', '3.0.1'] });
    expect(server.asked).toHaveLength(5);
    expect(server.asked[3]).toEqual(server.asked[2]);
    expect(done.stderr).toMatch(/; trying again in \d+\.\d s\n/);
  });

  test('what is refused is told with its line and turn, and what came before it is written', async () => {
    const [, done] = await retried((_asked, n) => (n === 2 ? { status: 400 } : {}));
    expect(done.stderr).toMatch(
      /\ngattling: .*in\.jsonl line 2, turn 2: .*answered 400: no luck with 400 \(--skip-refused leaves out what the server refuses\)\n$/,
    );
    expect(done).toMatchObject({ code: 1, ids: ['1.0.1'] });
  });

  test('--skip-refused leaves it out, and counts it', async () => {
    const server = await answering(({ messages }) => (messages.length === 3 ? { status: 400 } : {}));
    const done = await attempt(server.url, '--skip-refused');
    expect(done).toMatchObject({ code: 0, ids: ['1.0.1', '3.0.1'] });
    expect(done.stdout).toMatch(/ has 2 samples; left out: 1 of dialogues that the server refused\n$/);
    const locked = await answering(() => ({ status: 401 }));
    expect((await attempt(locked.url, '--skip-refused')).stderr).toContain('line 1, turn 1: ');
  });

  test('cut and empty answers are left out, and counted', async () => {
    const server = await answering(({ messages }) =>
      messages[0]?.content.endsWith('a0') ? { finish: 'length' } : messages.length === 3 ? { content: '' } : {},
    );
    const done = await attempt(server.url);
    expect(done.ids).toEqual(['3.0.1']);
    expect(done.stdout).toMatch(
      / has 1 sample; left out: 1 whose answer was cut by a limit of tokens, 1 whose answer was empty\n$/,
    );
    expect((await attempt(server.url, '--keep-cut')).ids).toEqual(['1.0.1', '3.0.1']);
  });

  test('a server that is not there is told at once', async () => {
    const done = await attempt('http://127.0.0.1:9', '--model', 'm');
    expect(done.stderr).toMatch(
      /line 1, turn 1: http:\/\/127\.0\.0\.1:9\/v1\/chat\/completions cannot be reached .*is the server/,
    );
    expect(done.stderr).not.toContain('trying again');
    expect((await attempt('http://127.0.0.1:9')).stderr).toMatch(/^gattling: http:\/\/127\.0\.0\.1:9\/v1\/models cannot be/);
  });

  test('input that cannot be read', async () => {
    const place = workplace(Buffer.from([0xff, 0xfe]) as unknown as string);
    expect((await place.gatt('http://127.0.0.1:9')).stderr).toMatch(
      /^gattling: --dialogues .* must be a UTF-8 text that can be/,
    );
    const missing = workplace();
    expect((await missing.gatt('http://127.0.0.1:9', '--instructions', '/none')).stderr).toMatch(
      /--instructions \/none must be/,
    );
    const combined = workplace(DIALOGUES, 'One only.');
    expect((await combined.gatt('http://127.0.0.1:9', '--combine', '0.5')).stderr).toContain('--combine needs the kind');
    const { url } = await answering();
    expect((await workplace().gatt(url, '--out', '/none/sft.jsonl')).stderr).toMatch(
      /--out \/none\/sft\.jsonl cannot be written/,
    );
  });
});
