import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { commitNumber, fakeHub, oidOf } from './fake-hub.ts';
import { COMMIT, listing, model, REPO, rig } from './rig.ts';

describe('names from the server stay in the cache', () => {
  const index = (...shards: string[]) =>
    JSON.stringify({ weight_map: Object.fromEntries(shards.map((shard, i) => [`t${i}`, shard])) });
  const entry = (path: string, size = 4, blob = oidOf('x.gguf', 'evil')) => ({
    type: 'file',
    path,
    size,
    oid: commitNumber(3),
    lfs: { oid: blob, size },
  });
  const evil: [string, string][] = [
    ['../ above', '../../../../evil'],
    ['../ within', 'sub/../../../evil'],
    ['an absolute one', '/tmp/gattling-evil'],
    ['NUL', 'mo\0del'],
    ['backslashes', '..\\..\\evil'],
    ['a line break', 'mo\ndel'],
    ['nothing', ''],
    ['dots alone', '..'],
  ];

  test.each(evil)('%s as a shard of the index', async (_what, path) => {
    const shard = `${path}/x.safetensors`;
    const files = { ...model.files, 'model.safetensors.index.json': index(shard) };
    const hub = await fakeHub({ [REPO]: { commit: COMMIT, files, entries: [entry(shard)] } });
    const { pull, root, repo } = rig(hub);
    await expect(pull(REPO)).rejects.toThrow(
      /^"org\/model" has ".+" in its model\.safetensors\.index\.json, which is not the name of a safetensors file in it\.$/,
    );
    for (const file of listing(root)) expect(join(root, file).startsWith(`${repo}/`)).toBe(true);
  });

  test('a shard that is not safetensors', async () => {
    const files = { ...model.files, 'model.safetensors.index.json': index('pytorch_model.bin') };
    const hub = await fakeHub({ [REPO]: { commit: COMMIT, files } });
    await expect(rig(hub).pull(REPO)).rejects.toThrow(
      /has "pytorch_model\.bin" in its .* which is not the name of a safetensors file/,
    );
  });

  test.each(evil)('%s as a GGUF file', async (_what, path) => {
    const hub = await fakeHub({ [REPO]: { commit: COMMIT, files: {}, entries: [entry(`${path}/x-Q4_0.gguf`)] } });
    const { pull, root } = rig(hub);
    await expect(pull(`${REPO}:Q4_0`)).rejects.toThrow(/^"org\/model" has no GGUF files/);
    expect(listing(root)).toEqual([]);
  });

  test.each(['../../../../evil', '/etc/evil', 'A'.repeat(64), 'a'.repeat(63), ''])('%j as a checksum', async (blob) => {
    const hub = await fakeHub({ [REPO]: { commit: COMMIT, files: {}, entries: [entry('x-Q4_0.gguf', 4, blob)] } });
    const { pull, root } = rig(hub);
    await expect(pull(`${REPO}:Q4_0`)).rejects.toThrow(/has no GGUF files/);
    expect(listing(root)).toEqual([]);
  });

  test.each([-1, 1.5, 2 ** 60, '4', null])('%j as a size', async (size) => {
    const hub = await fakeHub({ [REPO]: { commit: COMMIT, files: {}, entries: [entry('x-Q4_0.gguf', size as number)] } });
    await expect(rig(hub).pull(`${REPO}:Q4_0`)).rejects.toThrow(/has no GGUF files/);
  });

  test('a shard below a file is refused, not written elsewhere', async () => {
    const files = {
      ...model.files,
      'model.safetensors.index.json': index('config.json/x.safetensors'),
      'config.json/x.safetensors': 'x',
    };
    const hub = await fakeHub({ [REPO]: { commit: COMMIT, files } });
    const { pull, root, repo } = rig(hub);
    await expect(pull(REPO)).rejects.toThrow(/^"org\/model" cannot be written to .* \((EEXIST|ENOTDIR)\)/);
    for (const file of listing(root)) expect(join(root, file).startsWith(`${repo}/`)).toBe(true);
  });
});
