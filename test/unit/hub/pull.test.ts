import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { commitNumber, fakeHub, oidOf, type Repo } from './fake-hub.ts';
import { COMMIT, isShard, linkOf, listing, model, NEEDED, REPO, rig, shard, text } from './rig.ts';

test('the files that serving needs, in the layout of huggingface_hub', async () => {
  const hub = await fakeHub({ [REPO]: model });
  const { pull, repo, progress } = rig(hub);
  const { path, commit } = await pull(REPO);
  expect(path).toBe(join(repo, 'snapshots', COMMIT));
  expect(commit).toBe(COMMIT);
  expect(listing(path)).toEqual(NEEDED);
  for (const file of NEEDED) {
    const content = model.files[file] ?? '';
    expect(linkOf(path, file)).toBe(`../../blobs/${oidOf(file, content)}`);
    expect(readFileSync(join(path, file))).toEqual(Buffer.from(content));
  }
  expect(listing(join(repo, 'blobs'))).toEqual(NEEDED.map((file) => oidOf(file, model.files[file] ?? '')).sort());
  expect(text(repo, 'refs/main')).toBe(COMMIT);
  const total = NEEDED.reduce((sum, file) => sum + Buffer.byteLength(model.files[file] ?? ''), 0);
  expect(progress.at(-1)).toEqual({ stage: REPO, done: total, total });
});

test('links of files in folders lead up as far as they must', async () => {
  const files = { 'Q8_0/big-Q8_0-00001-of-00002.gguf': 'one', 'Q8_0/big-Q8_0-00002-of-00002.gguf': 'two' };
  const hub = await fakeHub({ [REPO]: { commit: COMMIT, files } });
  const { pull } = rig(hub);
  const { path } = await pull(`${REPO}:q8_0`);
  expect(path.endsWith(`snapshots/${COMMIT}/Q8_0/big-Q8_0-00001-of-00002.gguf`)).toBe(true);
  expect(linkOf(path)).toBe(`../../../blobs/${oidOf('x.gguf', 'one')}`);
  expect(text(path.replace('00001-of', '00002-of'))).toBe('two');
});

test('a second pull asks for the commit and its files, and for none of their content', async () => {
  const hub = await fakeHub({ [REPO]: model });
  const { pull } = rig(hub);
  await pull(REPO);
  const before = hub.asked.length;
  await pull(REPO);
  expect(hub.asked.slice(before).every(({ path }) => path.startsWith('/api/'))).toBe(true);
});

test('a new commit brings what is new in it; what is equal is shared', async () => {
  const repos: Record<string, Repo> = { [REPO]: model };
  const hub = await fakeHub(repos);
  const { pull, repo } = rig(hub);
  await pull(REPO);
  const before = hub.asked.length;
  const commit = commitNumber(2);
  repos[REPO] = { commit, files: { ...model.files, 'config.json': '{"eos_token_id": 3}' } };
  const { path } = await pull(REPO);
  const files = hub.asked.slice(before).filter(({ path: asked }) => !asked.startsWith('/api/'));
  expect(files.map(({ path: asked }) => asked)).toEqual([`/${REPO}/resolve/${commit}/config.json`]);
  expect(listing(path)).toEqual(NEEDED);
  expect(text(repo, 'refs/main')).toBe(commit);
  expect(text(repo, 'snapshots', COMMIT, 'config.json')).toBe('{"eos_token_id": 2}');
});

test('a revision is a branch with slashes, or a commit, which gets no ref', async () => {
  const hub = await fakeHub({ [REPO]: { ...model, refs: { 'refs/pr/7': COMMIT } } });
  const { pull, repo } = rig(hub);
  await pull(`${REPO}@refs/pr/7`);
  await pull(`${REPO}@${COMMIT}`);
  expect(listing(join(repo, 'refs'))).toEqual(['refs/pr/7']);
});

test('the token goes to the Hub and not to where it sends us', async () => {
  const hub = await fakeHub({ [REPO]: model });
  await rig(hub, { HF_TOKEN: 'any-token\n' }).pull(REPO);
  for (const { from, authorization } of hub.asked) expect(authorization).toBe(from === 'hub' ? 'Bearer any-token' : undefined);
  expect(hub.asked.filter(({ from }) => from === 'cdn')).toHaveLength(2);
});

test('the token does not go where a listing says that it goes on', async () => {
  const other = await fakeHub({ [REPO]: model });
  const link = `<${other.url}/api/models/${REPO}/tree/${COMMIT}?recursive=true>; rel="next"`;
  const hub = await fakeHub({ [REPO]: model }, ({ path }) =>
    path.includes('/tree/') ? { body: '[]', headers: { link } } : undefined,
  );
  await rig(hub, { HF_TOKEN: 'secret' }).pull(REPO);
  expect(hub.asked[0]?.authorization).toBe('Bearer secret');
  expect(other.asked.length).toBeGreaterThan(0);
  for (const { authorization } of other.asked) expect(authorization).toBeUndefined();
});

test('the token file counts where no token is set', async () => {
  const hub = await fakeHub({ [REPO]: model });
  const { pull, root } = rig(hub);
  mkdirSync(join(root, 'user/hf'), { recursive: true });
  writeFileSync(join(root, 'user/hf/token'), 'from-file\n');
  await pull(REPO);
  expect(hub.asked[0]?.authorization).toBe('Bearer from-file');
});

test('of equal files one is fetched', async () => {
  const files = { ...model.files, 'model-2.safetensors': shard };
  const hub = await fakeHub({ [REPO]: { commit: COMMIT, files } });
  const { pull } = rig(hub);
  const { path } = await pull(REPO);
  expect(hub.asked.filter(isShard)).toHaveLength(1);
  expect(listing(path)).toEqual(NEEDED);
});

test('what a pull needs of the disk is what is not there', async () => {
  const hub = await fakeHub({ [REPO]: model });
  const { pull, repo } = rig(hub);
  await pull(REPO);
  rmSync(join(repo, 'snapshots'), { recursive: true });
  const before = hub.asked.length;
  const { path } = await pull(REPO);
  expect(hub.asked.slice(before).every(({ path: asked }) => asked.startsWith('/api/'))).toBe(true);
  expect(listing(path)).toEqual(NEEDED);
});
