import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import type { Io, Signal } from '../../../src/cli/io.ts';
import { run } from '../../../src/cli/run.ts';
import { temporary } from '../../temporary.ts';
import { type FakeHub, fakeHub } from '../hub/fake-hub.ts';
import { COMMIT, listing, model, REPO } from '../hub/rig.ts';

interface Terminal {
  env: Record<string, string>;
  cache: string;
  run(...argv: string[]): Promise<{ code: number; stdout: string; stderr: string }>;
  signal(name: Signal): void;
}

/** `typed` is what a person answers; without it there is no terminal. */
function terminal({ url }: Pick<FakeHub, 'url'>, typed?: string): Terminal {
  const home = temporary();
  const env = { HOME: home, HF_HOME: join(home, 'hf'), HF_ENDPOINT: url };
  const listeners = new Set<(signal: Signal) => void>();
  return {
    env,
    cache: join(home, 'hf/hub'),
    signal: (name) => listeners.forEach((listener) => void listener(name)),
    async run(...argv) {
      const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
      if (typed !== undefined) stdin.end(typed);
      const io: Io = {
        env,
        stdin: typed === undefined ? stdin : Object.assign(stdin, { isTTY: true }),
        stdout,
        stderr,
        onSignal(listener) {
          listeners.add(listener);
          return () => listeners.delete(listener);
        },
      };
      const code = await run(argv, io);
      return { code, stdout: String(stdout.read() ?? ''), stderr: String(stderr.read() ?? '') };
    },
  };
}

test('pull prints the folder and how to serve it, list shows it, rm deletes it', async () => {
  const at = terminal(await fakeHub({ [REPO]: model }));
  expect((await at.run('list')).stdout).toBe(`no models in ${at.cache}; fetch one with: gattling pull org/repo\n`);
  const pulled = await at.run('pull', `${REPO}@main`);
  expect(pulled).toMatchObject({
    code: 0,
    stdout: `${at.cache}/models--org--model/snapshots/${COMMIT}\nserve it with: gattling serve org/model@main\n`,
  });
  expect(pulled.stderr).toMatch(/^org\/model \d+%\n(?:.*\n)*org\/model 100%\n$/);
  expect((await at.run('list')).stdout).toMatch(
    /^NAME {8}REVISION {3}SIZE {7}LAST USED\norg\/model {3}main {7}97\.\d KiB {3}\d{4}-\d\d-\d\d\n$/,
  );
  expect(await at.run('rm', REPO)).toMatchObject({
    code: 1,
    stderr: 'gattling: There is no terminal to ask on; add --yes to delete without asking.\n',
  });
  expect((await at.run('rm', REPO, '--yes')).stdout).toMatch(/^deleted org\/model, 9\d\.\d KiB\n$/);
  expect(listing(at.cache)).toEqual([]);
});

describe('rm asks', () => {
  test.each([
    ['y\n', 0, /^deleted org\/model/],
    ['YES\n', 0, /^deleted org\/model/],
    ['n\n', 1, /^nothing was deleted\n$/],
    ['\n', 1, /^nothing was deleted\n$/],
    ['yesterday\n', 1, /^nothing was deleted\n$/],
  ])('%j', async (typed, code, stdout) => {
    const at = terminal(await fakeHub({ [REPO]: model }), typed);
    await at.run('pull', REPO);
    const removed = await at.run('rm', REPO);
    expect(removed).toMatchObject({ code, stdout: expect.stringMatching(stdout) });
    expect(removed.stderr).toMatch(/^Delete org\/model, 9\d\.\d KiB\? \[y\/N\] /);
    expect(listing(at.cache).length > 0).toBe(code === 1);
  });
});

test('a cut pull says so, is listed as incomplete, and goes on', async () => {
  let busy = true;
  const hub = await fakeHub({ [REPO]: model }, ({ path, from }) =>
    from === 'cdn' && busy && path ? { status: 403 } : undefined,
  );
  const at = terminal(hub);
  const failed = await at.run('pull', REPO);
  expect(failed).toMatchObject({ code: 1, stdout: '' });
  expect(failed.stderr).toMatch(/\ngattling: "org\/model" may not be read [^\n]*\.\n$/);
  expect((await at.run('list')).stdout).toMatch(/ B, incomplete/);
  busy = false;
  expect((await at.run('pull', REPO)).code).toBe(0);
});

test('a signal ends a pull and keeps what has arrived', async () => {
  const at: Terminal = terminal(
    await fakeHub({ [REPO]: model }, ({ from }) => {
      if (from !== 'cdn') return undefined;
      at.signal('SIGINT');
      return { until: new Promise(() => {}) };
    }),
  );
  const { code, stderr } = await at.run('pull', REPO);
  expect(code).toBe(1);
  expect(stderr).toMatch(/\ngattling: SIGINT: stopped; what has arrived is kept, and the same command goes on from there\.\n$/);
  expect(listing(at.cache).filter((file) => file.endsWith('.lock'))).toEqual([]);
});

test('offline, pull is content with what is there', async () => {
  const hub = await fakeHub({ [REPO]: model });
  const at = terminal(hub);
  await at.run('pull', REPO);
  hub.asked.length = 0;
  at.env['HF_HUB_OFFLINE'] = '1';
  expect((await at.run('pull', REPO)).code).toBe(0);
  expect((await at.run('pull', 'org/other')).stderr).toMatch(
    /^gattling: "org\/other" is not whole in .* HF_HUB_OFFLINE keeps it/,
  );
  expect(hub.asked).toEqual([]);
});

test.each([
  [['pull'], 'NAME is missing (GATTLING_NAME would do too).'],
  [['rm'], 'NAME is missing (GATTLING_NAME would do too).'],
  [
    ['pull', 'https://huggingface.co/org/repo'],
    '"https://huggingface.co/org/repo" is not the name of a repository; give it as org/repo, org/repo@revision or org/repo:Q4_K_M, without an address before it.',
  ],
  [
    ['rm', '../x'],
    '"../x" is not the name of a repository; give it as org/repo, org/repo@revision or org/repo:Q4_K_M, without an address before it.',
  ],
])('%j: %s', async (argv, sentence) => {
  const { code, stderr } = await terminal({ url: 'http://hub' }).run(...argv);
  expect({ code, stderr }).toEqual({ code: 1, stderr: `gattling: ${sentence}\n` });
});

test('serve says what a name could have been', async () => {
  const at = terminal(await fakeHub({}));
  expect((await at.run('serve', 'models/lama', '--port', '0')).stderr).toMatch(
    /^gattling: "models\/lama" is neither a path here nor a repository that http:\S+ shows \(HTTP 404\); check the name/,
  );
});

test('columns are as wide as their widest cell', async () => {
  const at = terminal({ url: 'http://hub' });
  const snapshot = join(at.cache, 'models--o--a-long-name/snapshots', COMMIT);
  mkdirSync(snapshot, { recursive: true });
  writeFileSync(join(snapshot, 'm-Q4_0.gguf'), 'x');
  const [head, row] = (await at.run('list')).stdout.split('\n');
  expect(head).toBe(`NAME                 REVISION${' '.repeat(35)}SIZE   LAST USED`);
  expect(row).toMatch(new RegExp(`^o/a-long-name:Q4_0   ${COMMIT}   1 B    \\d{4}-\\d\\d-\\d\\d$`));
});
