import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { fakeHub, oidOf, type Reply } from './fake-hub.ts';
import { isShard, listing, model, NEEDED, oid, REPO, rig, shard } from './rig.ts';

describe('a network that breaks', () => {
  /** Does this to the first `times` requests for the shard's content. */
  const failing = (reply: Reply, times = 1) =>
    fakeHub({ [REPO]: model }, (asked, before) => (isShard(asked) && before < times ? reply : undefined));

  test('a cut goes on where it was', async () => {
    const hub = await failing({ cut: 20_000 });
    const { pull } = rig(hub);
    const { path } = await pull(REPO);
    expect(hub.asked.filter(isShard).map(({ range }) => range)).toEqual([undefined, 'bytes=20000-']);
    expect(readFileSync(join(path, 'model-1.safetensors'))).toEqual(shard);
  });

  test('an answer that ends early goes on too', async () => {
    const hub = await failing({ short: 49_999 });
    const { path } = await rig(hub).pull(REPO);
    expect(hub.asked.filter(isShard).at(-1)?.range).toBe('bytes=49999-');
    expect(readFileSync(join(path, 'model-1.safetensors'))).toEqual(shard);
  });

  test('as long as each try gets further there is no last one', async () => {
    const hub = await failing({ cut: 1000 }, 20);
    const { path } = await rig(hub).pull(REPO);
    expect(hub.asked.filter(isShard)).toHaveLength(21);
    expect(readFileSync(join(path, 'model-1.safetensors'))).toEqual(shard);
  });

  test('a server without ranges sends the file again, which is not written twice', async () => {
    const hub = await fakeHub({ [REPO]: model }, (asked, before) =>
      isShard(asked) ? (before === 0 ? { cut: 20_000 } : { noRanges: true }) : undefined,
    );
    const { path } = await rig(hub).pull(REPO);
    expect(readFileSync(join(path, 'model-1.safetensors'))).toEqual(shard);
    expect(hub.asked.filter(isShard)).toHaveLength(2);
  });

  test('a listing that is cut is asked for again', async () => {
    const hub = await fakeHub({ [REPO]: model }, ({ path }, before) =>
      path.includes('/tree/') && before === 1 ? { status: 503 } : undefined,
    );
    expect(listing((await rig(hub).pull(REPO)).path)).toEqual(NEEDED);
  });

  test.each([500, 502, 503, 504, 429, 408])('HTTP %d passes', async (status) => {
    const hub = await failing({ status }, 2);
    await rig(hub).pull(REPO);
    expect(hub.asked.filter(isShard)).toHaveLength(3);
  });

  test('the wait that a server asks for is kept', async () => {
    const hub = await failing({ status: 429, headers: { 'retry-after': '1' } });
    const { pull, progress } = rig(hub);
    const start = performance.now();
    await pull(REPO);
    expect(performance.now() - start).toBeGreaterThanOrEqual(990);
    expect(progress.map(({ stage }) => stage)).toContain(`${REPO}: HTTP 429, again in 1 s`);
  });

  test('a later run goes on with what an earlier one left', async () => {
    let cut = true;
    const hub = await fakeHub({ [REPO]: model }, (asked, before) => {
      if (!isShard(asked) || !cut) return undefined;
      return before === 0 ? { cut: 30_000 } : { status: 500 };
    });
    const { pull, repo } = rig(hub);
    await expect(pull(REPO)).rejects.toThrow(/HTTP 500/);
    expect(listing(join(repo, 'blobs')).filter((blob) => blob.startsWith(oid))).toEqual([`${oid}.incomplete`]);
    expect(listing(join(repo, 'refs'))).toEqual([]);
    cut = false;
    await pull(REPO);
    expect(hub.asked.filter(isShard).at(-1)?.range).toBe('bytes=30000-');
    expect(listing(join(repo, 'blobs'))).toHaveLength(NEEDED.length);
  });

  test('a corrupt file is fetched once more', async () => {
    const hub = await failing({ corrupt: true });
    const { path } = await rig(hub).pull(REPO);
    expect(hub.asked.filter(isShard).map(({ range }) => range)).toEqual([undefined, undefined]);
    expect(readFileSync(join(path, 'model-1.safetensors'))).toEqual(shard);
  });

  test('garbage in a file that was begun is found out, and so is one too long', async () => {
    const hub = await fakeHub({ [REPO]: model });
    const { pull, repo } = rig(hub);
    mkdirSync(join(repo, 'blobs'), { recursive: true });
    const second = oidOf('model-2.safetensors', model.files['model-2.safetensors'] ?? '');
    writeFileSync(join(repo, 'blobs', `${oid}.incomplete`), 'garbage');
    writeFileSync(join(repo, 'blobs', `${second}.incomplete`), Buffer.alloc(50_001));
    const { path } = await pull(REPO);
    expect(readFileSync(join(path, 'model-1.safetensors'))).toEqual(shard);
    expect(readFileSync(join(path, 'model-2.safetensors'))).toEqual(model.files['model-2.safetensors']);
  });

  test('a blob of another size than announced is fetched again', async () => {
    const hub = await fakeHub({ [REPO]: model });
    const { pull, repo } = rig(hub);
    await pull(REPO);
    writeFileSync(join(repo, 'blobs', oid), 'cut by a full disk');
    const { path } = await pull(REPO);
    expect(readFileSync(join(path, 'model-1.safetensors'))).toEqual(shard);
  });
});
