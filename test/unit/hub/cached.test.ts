import { mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { planRemoval } from '../../../src/hub/remove.ts';
import { cachedModels } from '../../../src/hub/scan.ts';
import { commitNumber, fakeHub, oidOf, type Repo } from './fake-hub.ts';
import { COMMIT, listing, model, NEEDED, name, REPO, type Rig, rig, text } from './rig.ts';

const SECOND = commitNumber(2);
const next: Repo = { commit: SECOND, files: { ...model.files, 'config.json': '{"eos_token_id": 3}' } };
const sizeOf = (files: Repo['files'], names: readonly string[]) =>
  names.reduce((sum, file) => sum + Buffer.byteLength(files[file] ?? ''), 0);

/** main at the second commit, the tag v1 at the first. */
async function twoCommits(): Promise<Rig> {
  const repos: Record<string, Repo> = { [REPO]: { ...model, refs: { v1: COMMIT } } };
  const at = rig(await fakeHub(repos));
  await at.pull(`${REPO}@v1`);
  repos[REPO] = next;
  await at.pull(REPO);
  return at;
}

const ggufs: Repo = {
  commit: COMMIT,
  files: {
    'm.Q4_0.gguf': 'four',
    'sub/m.Q8_0-00001-of-00002.gguf': 'one',
    'sub/m.Q8_0-00002-of-00002.gguf': 'three',
    'a.F16.gguf': 'sixteen',
    'b.F16.gguf': 'sixteen!',
  },
};

async function twoQuants(): Promise<Rig> {
  const at = rig(await fakeHub({ [REPO]: ggufs }));
  for (const tag of ['Q4_0', 'Q8_0']) await at.pull(`${REPO}:${tag}`);
  return at;
}

describe('list', () => {
  test('an empty cache, and none', async () => {
    expect(await cachedModels(join(rig({ url: 'http://hub' }).root, 'nowhere'))).toEqual([]);
  });

  test('revisions by their names, sizes, when they were last used', async () => {
    const at = await twoCommits();
    const used = new Date('2031-02-03T04:05:06Z');
    utimesSync(join(at.repo, 'snapshots', SECOND, 'config.json'), used, used);
    const rows = await cachedModels(at.settings.cache);
    expect(rows).toMatchObject([
      { name: REPO, revision: 'v1', bytes: sizeOf(model.files, NEEDED), whole: true },
      { name: REPO, revision: 'main', bytes: sizeOf(next.files, NEEDED), whole: true, lastUsed: used },
    ]);
  });

  test('a commit that nothing names any more is itself', async () => {
    const repos: Record<string, Repo> = { [REPO]: model };
    const at = rig(await fakeHub(repos));
    await at.pull(REPO);
    repos[REPO] = next;
    await at.pull(REPO);
    expect((await cachedModels(at.settings.cache)).map(({ revision }) => revision)).toEqual([COMMIT, 'main']);
  });

  test('GGUF files each as they are served', async () => {
    const at = await twoQuants();
    for (const file of ['a.F16.gguf', 'b.F16.gguf']) await at.pull(`${REPO}:${file}`);
    const rows = await cachedModels(at.settings.cache);
    expect(rows.map((row) => [row.name, row.bytes])).toEqual([
      [`${REPO}:a.F16.gguf`, 7],
      [`${REPO}:b.F16.gguf`, 8],
      [`${REPO}:Q4_0`, 4],
      [`${REPO}:Q8_0`, 8],
    ]);
  });

  test('what was cut is not whole', async () => {
    const hub = await fakeHub({ [REPO]: model }, ({ path }, before) => {
      if (path !== `/${oidOf('model-1.safetensors', model.files['model-1.safetensors'] ?? '')}`) return undefined;
      return before === 0 ? { cut: 30_000 } : { status: 403 };
    });
    const at = rig(hub);
    await expect(at.pull(REPO)).rejects.toThrow();
    expect(await cachedModels(at.settings.cache)).toMatchObject([
      { name: REPO, revision: COMMIT, whole: false },
      { name: REPO, revision: null, whole: false },
    ]);
    expect((await cachedModels(at.settings.cache))[1]?.bytes).toBeGreaterThanOrEqual(30_000);
  });

  test('names that a terminal would obey are not shown', async () => {
    const at = await twoQuants();
    symlinkSync(`../../blobs/${oidOf('x.gguf', 'four')}`, join(at.repo, 'snapshots', COMMIT, '\x1b[2J.Q2_K.gguf'));
    expect((await cachedModels(at.settings.cache)).map(({ name }) => name)).toEqual([`${REPO}:Q4_0`, `${REPO}:Q8_0`]);
  });

  test("what is not a model's is passed over", async () => {
    const at = await twoQuants();
    for (const folder of ['datasets--org--x', 'models--bert', '.locks/models--org--model', 'models--..--..', 'blobs/00'])
      mkdirSync(join(at.settings.cache, folder, 'snapshots'), { recursive: true });
    writeFileSync(join(at.settings.cache, 'models--a--file'), '');
    writeFileSync(join(at.settings.cache, 'CACHEDIR.TAG'), '');
    expect((await cachedModels(at.settings.cache)).map(({ name }) => name)).toEqual([`${REPO}:Q4_0`, `${REPO}:Q8_0`]);
  });
});

describe('rm', () => {
  const remove = async ({ settings }: Rig, text: string) => {
    const removal = await planRemoval(name(text), settings);
    await removal.run();
    return removal;
  };

  test('a plan deletes nothing', async () => {
    const at = await twoCommits();
    const before = listing(at.repo);
    expect((await planRemoval(name(REPO), at.settings)).bytes).toBeGreaterThan(100_000);
    expect(listing(at.repo)).toEqual(before);
  });

  test('without a revision everything goes, begun downloads and locks too', async () => {
    const at = await twoCommits();
    writeFileSync(join(at.repo, 'blobs/x.incomplete'), 'begun');
    mkdirSync(join(at.settings.cache, '.locks/models--org--model'), { recursive: true });
    const config = Buffer.byteLength(next.files['config.json'] ?? '');
    const blobs = sizeOf(model.files, NEEDED) + config + 'begun'.length;
    const others = ['refs/main', 'refs/v1', `trees/${COMMIT}.json`, `trees/${SECOND}.json`].map(
      (file) => text(at.repo, file).length,
    );
    const { bytes } = await remove(at, REPO);
    expect(bytes).toBe(others.reduce((sum, size) => sum + size, blobs));
    expect(listing(at.root)).toEqual([]);
    expect(await cachedModels(at.settings.cache)).toEqual([]);
  });

  test('a revision goes with the blobs that it alone refers to', async () => {
    const at = await twoCommits();
    const { bytes } = await remove(at, `${REPO}@v1`);
    expect(bytes).toBe(Buffer.byteLength(model.files['config.json'] ?? ''));
    expect(listing(join(at.repo, 'refs'))).toEqual(['main']);
    expect(listing(join(at.repo, 'trees'))).toEqual([`${SECOND}.json`]);
    expect(await cachedModels(at.settings.cache)).toMatchObject([{ revision: 'main', whole: true }]);
    expect(listing(join(at.repo, 'blobs'))).toEqual(NEEDED.map((file) => oidOf(file, next.files[file] ?? '')).sort());
  });

  test('a revision by its commit', async () => {
    const at = await twoCommits();
    await remove(at, `${REPO}@${SECOND}`);
    expect(listing(join(at.repo, 'refs'))).toEqual(['v1']);
  });

  test('the last revision takes the repository with it', async () => {
    const at = await twoQuants();
    await remove(at, `${REPO}@main`);
    expect(listing(at.root)).toEqual([]);
  });

  test('one quantisation of two, with its folder', async () => {
    const at = await twoQuants();
    const { bytes } = await remove(at, `${REPO}:q8_0`);
    expect(bytes).toBe(8);
    expect(listing(join(at.repo, 'snapshots'))).toEqual([`${COMMIT}/m.Q4_0.gguf`]);
    expect(listing(join(at.repo, 'blobs'))).toEqual([oidOf('x.gguf', 'four')]);
    await remove(at, `${REPO}:Q4_0`);
    expect(listing(at.root)).toEqual([]);
  });

  test('a blob in the store that repositories share stays there', async () => {
    const at = await twoQuants();
    const store = join(at.settings.cache, 'blobs/ab/ab00');
    mkdirSync(join(store, '..'), { recursive: true });
    writeFileSync(store, 'shared bytes');
    symlinkSync('../../blobs/ab/ab00', join(at.repo, 'blobs/shared'));
    symlinkSync('../../blobs/shared', join(at.repo, 'snapshots', COMMIT, 'x.Q2_K.gguf'));
    const { bytes, shared } = await remove(at, `${REPO}:Q2_K`);
    expect([bytes, shared]).toEqual([0, 12]);
    expect(listing(join(at.settings.cache, 'blobs'))).toEqual(['ab/ab00']);
    expect(listing(join(at.repo, 'blobs'))).toHaveLength(3);
  });

  test('a link out of the repository takes nothing with it', async () => {
    const at = await twoQuants();
    const outside = join(at.root, 'precious');
    writeFileSync(outside, 'mine');
    writeFileSync(join(at.repo, 'blobs/precious'), 'of the same name');
    symlinkSync(outside, join(at.repo, 'snapshots', COMMIT, 'x.Q2_K.gguf'));
    expect((await remove(at, `${REPO}:Q2_K`)).bytes).toBe(0);
    expect(listing(at.root)).toContain('precious');
    expect(listing(join(at.repo, 'blobs'))).toContain('precious');
  });

  test.each([
    ['org/other', /^"org\/other" is not in .*hub; gattling list shows what is\.$/],
    [`${REPO}@v9`, /^"org\/model" has no revision "v9" in .*hub; gattling list shows those that it has\.$/],
    [`${REPO}:Q2_K`, /^"org\/model" has no Q2_K in the cache; it has Q4_0, Q8_0\.$/],
  ])('%s is not there', async (text, message) => {
    const at = await twoQuants();
    await expect(planRemoval(name(text), at.settings)).rejects.toThrow(message);
  });
});
