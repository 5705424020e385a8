import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { fakeHub, isLarge, oidOf } from './fake-hub.ts';
import { listing, model, NEEDED, REPO, rig } from './rig.ts';

const large = ['model-1.safetensors', 'model-2.safetensors'].map((file) => `/${oidOf(file, model.files[file] ?? '')}`);

test('two pulls of one model at once fetch each file once', async () => {
  const hub = await fakeHub({ [REPO]: model });
  const at = rig(hub);
  const [one, other] = await Promise.all([at.pull(REPO), at.pull(REPO)]);
  expect(one).toEqual(other);
  expect(listing(one.path)).toEqual(NEEDED);
  for (const path of large) expect(hub.asked.filter((asked) => asked.path === path)).toHaveLength(1);
  expect(listing(join(at.repo, 'blobs'))).toHaveLength(NEEDED.length);
});

const root = resolve(import.meta.dirname, '../../..');

function pullInProcess(env: Record<string, string>): Promise<{ code: number | null; stderr: string }> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'src/main.ts', 'pull', REPO], {
    cwd: root,
    env: { ...process.env, ...env },
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return new Promise((done) => child.once('close', (code) => done({ code, stderr })));
}

test('two processes at once both end well, also over cuts', async () => {
  let arrived: (() => void) | undefined;
  const both = new Promise<void>((done) => (arrived = done));
  const hub = await fakeHub({ [REPO]: model }, ({ path }, before) => {
    if (path.includes('/revision/') && before === 1) arrived?.();
    // Nothing large comes before the second process is there.
    return large.includes(path) ? { until: both, ...(before === 0 ? { cut: 10_000 } : {}) } : undefined;
  });
  const at = rig(hub);
  const env = {
    HF_ENDPOINT: hub.url,
    HF_HOME: resolve(at.settings.cache, '..'),
    HF_HUB_CACHE: '',
    HF_HUB_OFFLINE: '',
    HF_TOKEN: '',
  };
  const ends = await Promise.all([pullInProcess(env), pullInProcess(env)]);
  expect(ends.map(({ code, stderr }) => (code === 0 ? '' : stderr))).toEqual(['', '']);
  const snapshot = join(at.repo, 'snapshots', model.commit);
  expect(listing(snapshot)).toEqual(NEEDED);
  for (const file of NEEDED.filter(isLarge)) expect(readFileSync(join(snapshot, file))).toEqual(model.files[file]);
  expect(listing(join(at.repo, 'blobs'))).toHaveLength(NEEDED.length);
}, 180_000);
