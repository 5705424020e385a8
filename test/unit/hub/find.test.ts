import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findCached, findModel } from '../../../src/hub/find.ts';
import { commitNumber, type FakeHub, fakeHub, oidOf, type Repo } from './fake-hub.ts';
import { COMMIT, listing, model, name, REPO, type Rig, rig, text } from './rig.ts';

const never = new AbortController().signal;
const find = ({ settings }: Rig, text: string, offline = false) =>
  findModel(name(text), { ...settings, offline }, never, () => {});

async function pulled(text: string, repo: Repo = model): Promise<{ hub: FakeHub; at: Rig; path: string }> {
  const hub = await fakeHub({ [REPO]: repo });
  const at = rig(hub);
  const { path } = await at.pull(text);
  hub.asked.length = 0;
  return { hub, at, path };
}

const ggufs: Repo = {
  commit: COMMIT,
  files: { 'm.Q4_K_M.gguf': 'four', 'm.Q8_0-00001-of-00002.gguf': 'one', 'm.Q8_0-00002-of-00002.gguf': 'two' },
};

describe('what is whole is used without a network', () => {
  test.each([REPO, `${REPO}@main`, `${REPO}@${COMMIT}`])('%s', async (text) => {
    const { hub, at, path } = await pulled(REPO);
    expect(await find(at, text)).toBe(path);
    expect(await find(at, text, true)).toBe(path);
    expect(hub.asked).toEqual([]);
  });

  test.each([REPO, `${REPO}:q4_k_m`, `${REPO}:m.Q4_K_M.gguf`])('%s, a GGUF', async (text) => {
    const { hub, at, path } = await pulled(`${REPO}:Q4_K_M`, ggufs);
    expect(path.endsWith('/m.Q4_K_M.gguf')).toBe(true);
    expect(await find(at, text)).toBe(path);
    expect(hub.asked).toEqual([]);
  });

  test('a split one by its first part', async () => {
    const { hub, at, path } = await pulled(`${REPO}:Q8_0`, ggufs);
    expect(path.endsWith('/m.Q8_0-00001-of-00002.gguf')).toBe(true);
    expect(await find(at, `${REPO}:Q8_0`)).toBe(path);
    expect(hub.asked).toEqual([]);
  });
});

describe('what is not whole is fetched', () => {
  test.each(['config.json', 'generation_config.json', 'tokenizer.json', 'model-2.safetensors', 'model.safetensors.index.json'])(
    'without %s',
    async (file) => {
      const { hub, at, path } = await pulled(REPO);
      rmSync(join(path, file));
      expect(await findCached(name(REPO), at.settings)).toBeNull();
      expect(await find(at, REPO)).toBe(path);
      expect(hub.asked.length).toBeGreaterThan(0);
      hub.asked.length = 0;
      expect(await find(at, REPO)).toBe(path);
      expect(hub.asked).toEqual([]);
    },
  );

  test('a link to a blob that is gone', async () => {
    const { at, path } = await pulled(REPO);
    rmSync(join(at.repo, 'blobs'), { recursive: true });
    expect(await findCached(name(REPO), at.settings)).toBeNull();
    expect(await find(at, REPO)).toBe(path);
  });

  test('another quantisation', async () => {
    const { at } = await pulled(`${REPO}:Q4_K_M`, ggufs);
    expect((await find(at, `${REPO}:Q8_0`)).endsWith('m.Q8_0-00001-of-00002.gguf')).toBe(true);
  });

  test('the usual quantisation, though the only one here is another', async () => {
    const { at, path } = await pulled(`${REPO}:Q8_0`, ggufs);
    expect((await find(at, REPO)).endsWith('/m.Q4_K_M.gguf')).toBe(true);
    expect(path).toMatch(/Q8_0/);
  });

  test('a commit that is not here', async () => {
    const { at } = await pulled(REPO);
    await expect(find(at, `${REPO}@${commitNumber(2)}`)).rejects.toThrow(/has no revision "2222/);
  });
});

describe('offline', () => {
  test('nobody is asked, and the sentence says where it was looked for', async () => {
    const hub = await fakeHub({ [REPO]: model });
    const at = rig(hub);
    await expect(find(at, `${REPO}:Q4_0@v1`, true)).rejects.toThrow(
      /^"org\/model:Q4_0" at revision "v1" is not whole in .*hub, and HF_HUB_OFFLINE keeps it from being fetched; unset it, or run gattling pull/,
    );
    expect(hub.asked).toEqual([]);
  });

  test('the only quantisation here is meant where nobody knows of others', async () => {
    const { at, path } = await pulled(`${REPO}:Q8_0`, ggufs);
    await expect(find(at, REPO, true)).rejects.toThrow(/is not whole in/);
    rmSync(join(at.repo, 'trees'), { recursive: true });
    expect(await find(at, REPO, true)).toBe(path);
  });

  test('half a model is none', async () => {
    const { at, path } = await pulled(REPO);
    rmSync(join(path, 'model-1.safetensors'));
    await expect(find(at, REPO, true)).rejects.toThrow(/^"org\/model" is not whole in/);
  });
});

describe('listings beside the snapshots', () => {
  test('are in the form of huggingface_hub', async () => {
    const { at } = await pulled(REPO);
    const { format_version: format, files } = JSON.parse(text(at.repo, 'trees', `${COMMIT}.json`));
    expect(format).toBe(1);
    expect(Object.keys(files).sort()).toEqual(Object.keys(model.files).sort());
    const config = model.files['config.json'] ?? '';
    expect(files['config.json']).toEqual({ size: config.length, blob_id: oidOf('config.json', config) });
    const shard = model.files['model-1.safetensors'] ?? '';
    const sha256 = oidOf('model-1.safetensors', shard);
    expect(files['model-1.safetensors']).toEqual({
      size: 50_000,
      blob_id: expect.stringMatching(/^[0-9a-f]{40}$/),
      lfs_sha256: sha256,
      lfs_size: 50_000,
    });
  });

  test('one that is not whole is not kept', async () => {
    const { at } = await pulled(REPO, { ...model, entries: [{ type: 'file', path: '../x', size: 1, oid: commitNumber(3) }] });
    expect(listing(join(at.repo, 'trees'))).toEqual([]);
  });

  test.each([
    '',
    '{',
    'null',
    '{"format_version": 2, "files": {}}',
    '{"format_version": 1}',
    '{"format_version": 1, "files": {"a": null}}',
  ])('one that is %j is as none', async (broken) => {
    const { hub, at, path } = await pulled(REPO);
    writeFileSync(join(at.repo, 'trees', `${COMMIT}.json`), broken);
    expect(await find(at, REPO)).toBe(path);
    expect(hub.asked).toEqual([]);
  });

  test('tell that a GGUF here is not what the bare name means', async () => {
    const { at } = await pulled(`${REPO}:Q4_K_M`, { commit: COMMIT, files: { ...model.files, ...ggufs.files } });
    expect(await find(at, REPO)).toBe(join(at.repo, 'snapshots', COMMIT));
  });

  test('without one, small files before weights tell as much', async () => {
    const { hub, at, path } = await pulled(REPO);
    rmSync(join(at.repo, 'trees'), { recursive: true });
    expect(await find(at, REPO)).toBe(path);
    expect(hub.asked).toEqual([]);
    rmSync(join(path, 'model-2.safetensors'));
    expect(await findCached(name(REPO), at.settings)).toBeNull();
  });
});

test('a cut in a new revision leaves the old one to be served', async () => {
  const repos: Record<string, Repo> = { [REPO]: model };
  const hub = await fakeHub(repos, ({ path }) =>
    path.includes(commitNumber(2)) && path.endsWith('config.json') ? { status: 500 } : undefined,
  );
  const at = rig(hub);
  const { path } = await at.pull(REPO);
  repos[REPO] = { commit: commitNumber(2), files: { ...model.files, 'config.json': '{"eos_token_id": 3}' } };
  await expect(at.pull(REPO)).rejects.toThrow(/HTTP 500/);
  expect(await find(at, REPO)).toBe(path);
});
