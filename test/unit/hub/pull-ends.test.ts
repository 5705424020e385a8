import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { pull } from '../../../src/hub/pull.ts';
import { closedAddress, commitNumber, fakeHub, oidOf, type Reply } from './fake-hub.ts';
import { COMMIT, hasty, isShard, listing, model, name, oid, REPO, rig } from './rig.ts';

describe('what ends a pull, in one sentence', () => {
  const ends = async (reply: Reply, where: (path: string) => boolean = () => true, env: Record<string, string> = {}) => {
    const hub = await fakeHub({ [REPO]: model }, ({ path }) => (where(path) ? reply : undefined));
    const { pull, repo } = rig(hub, env);
    const error: Error = await pull(REPO).then(
      () => expect.unreachable(),
      (reason) => reason,
    );
    expect(error.message).toMatch(/^[^\n]+\.$/);
    return { message: error.message.replaceAll(hub.url, 'HUB'), repo };
  };
  const isContent = (path: string) => path === `/${oid}`;
  const gated = { 'x-error-code': 'GatedRepo' };

  test('401 without a token', async () => {
    expect((await ends({ status: 401 })).message).toBe(
      '"org/model" is neither a path here nor a repository that HUB shows (HTTP 401); check the name, and set HF_TOKEN to a token that may read it if it is private.',
    );
  });

  test('401 with a token', async () => {
    expect((await ends({ status: 401 }, undefined, { HF_TOKEN: 'old' })).message).toBe(
      'HUB does not take the token that was sent for "org/model" (HTTP 401); set HF_TOKEN to a valid one, or to none for what is public.',
    );
  });

  test('401 of a gated repository, without a token', async () => {
    const { message } = await ends({ status: 401, headers: gated }, (path) => path.includes('/resolve/'));
    expect(message).toBe(
      '"org/model" is gated: accept its terms at HUB/org/model and set HF_TOKEN to a token of the account that did, then try again.',
    );
  });

  test('403 of a gated repository', async () => {
    const { message } = await ends({ status: 403, headers: gated }, undefined, { HF_TOKEN: 'mine' });
    expect(message).toBe(
      '"org/model" is gated: accept its terms at HUB/org/model with the account of HF_TOKEN, then try again.',
    );
  });

  test('403 of another kind', async () => {
    expect((await ends({ status: 403 })).message).toMatch(
      /^"org\/model" may not be read with the token that was sent \(HTTP 403\); look at HUB/,
    );
  });

  test('404 of the repository', async () => {
    const { message } = await ends({ status: 404, headers: { 'x-error-code': 'RepoNotFound' } });
    expect(message).toMatch(
      /^"org\/model" is neither a path here nor a repository that HUB shows \(HTTP 404\); check the name/,
    );
  });

  test('404 of the revision', async () => {
    const { pull } = rig(await fakeHub({ [REPO]: model }));
    await expect(pull(`${REPO}@v2`)).rejects.toThrow(
      /^"org\/model" has no revision "v2"; the branches, tags and commits that it has are at http/,
    );
  });

  test('404 of a file', async () => {
    const { message } = await ends({ status: 404, headers: { 'x-error-code': 'EntryNotFound' } }, isContent);
    expect(message).toBe('"org/model" lists a file that HUB does not have (HTTP 404); try again later.');
  });

  test('429 that does not pass', async () => {
    expect((await ends({ status: 429 })).message).toBe(
      'HUB gets too many requests from here to send "org/model" (HTTP 429); try again later, or set HF_TOKEN: who is known may ask more often.',
    );
  });

  test('429 that asks for too long a wait', async () => {
    const { message } = await ends({ status: 429, headers: { 'retry-after': '4000' } }, undefined, { HF_TOKEN: 'mine' });
    expect(message).toMatch(/\(HTTP 429\); try again in 4000 s\.$/);
  });

  test('500 that does not pass', async () => {
    expect((await ends({ status: 500 }, isContent)).message).toBe(
      'HUB cannot send "org/model" at present (HTTP 500); try again later, what has arrived is kept.',
    );
  });

  test('a status that has no business here', async () => {
    expect((await ends({ status: 418 })).message).toMatch(/^HUB does not send "org\/model" \(HTTP 418\); check HF_ENDPOINT/);
  });

  test('nobody there', async () => {
    const { pull, progress } = rig({ url: await closedAddress() });
    await expect(pull(REPO)).rejects.toThrow(
      /^http:\/\/127\.0\.0\.1:\d+ cannot be reached for "org\/model" \(connect ECONNREFUSED .+\); check the network and HF_ENDPOINT, what has arrived is kept\.$/,
    );
    expect(progress[0]).toMatchObject({ done: 0, total: 1 });
  });

  test('a checksum that stays wrong, of which nothing is left', async () => {
    const { message, repo } = await ends({ corrupt: true }, isContent);
    expect(message).toMatch(
      new RegExp(
        `^HUB sent model-1\\.safetensors of "org/model" twice with the checksum [0-9a-f]{64}, where ${oid} was announced; try again`,
      ),
    );
    expect(listing(join(repo, 'blobs')).filter((blob) => blob.startsWith(oid))).toEqual([]);
  });

  test('more bytes than announced are not written', async () => {
    const hub = await fakeHub({ [REPO]: model }, (asked) => (isShard(asked) ? { body: Buffer.alloc(50_001) } : undefined));
    const { pull } = rig(hub);
    await expect(pull(REPO)).rejects.toThrow(/twice with more than its 50000 bytes; try again/);
  });

  test('a range that was not asked for', async () => {
    const hub = await fakeHub({ [REPO]: model }, (asked, before) => {
      if (!isShard(asked)) return undefined;
      return before % 2 === 0 ? { cut: 10 } : { status: 206, headers: { 'content-range': 'bytes 0-9/10' }, body: 'x' };
    });
    await expect(rig(hub).pull(REPO)).rejects.toThrow(/with another range than bytes 10 to 50000, which were asked for/);
  });

  test.each([
    ['a page of HTML', '<html>welcome to the hotel</html>'],
    ['other JSON', '[]'],
    ['no commit', '{"sha": "../../../../etc"}'],
    ['a short commit', '{"sha": "abc"}'],
    ['null', 'null'],
  ])('a server that is no Hub: %s', async (_what, body) => {
    expect((await ends({ body })).message).toMatch(
      /^HUB answers about "org\/model" with .*; check that HF_ENDPOINT is a Hugging Face Hub\.$/,
    );
  });

  test('a listing that is none', async () => {
    const { message } = await ends({ body: '{"files": 3}' }, (path) => path.includes('/tree/'));
    expect(message).toMatch(/^HUB answers about "org\/model" with what is not its API/);
  });

  test('a disk without room, before anything is written', async () => {
    const entries = [
      {
        type: 'file',
        path: 'huge-Q4_0.gguf',
        size: 2 ** 52,
        oid: commitNumber(3),
        lfs: { oid: 'a'.repeat(64), size: 2 ** 52 },
      },
    ];
    const hub = await fakeHub({ [REPO]: { commit: COMMIT, files: {}, entries } });
    const { pull, root } = rig(hub);
    await expect(pull(`${REPO}:Q4_0`)).rejects.toThrow(
      /^"org\/model" needs 4503599\.6 GB more, but the disk of .*models--org--model has [\d.]+ GB free; make room, or choose another disk with HF_HOME\.$/,
    );
    expect(listing(root)).toEqual([]);
  });

  test.skipIf(!existsSync('/dev/full'))('a disk that is full in the middle', async () => {
    const hub = await fakeHub({ [REPO]: model });
    const { pull, repo } = rig(hub);
    mkdirSync(join(repo, 'blobs'), { recursive: true });
    symlinkSync('/dev/full', join(repo, 'blobs', `${oid}.incomplete`));
    await expect(pull(REPO)).rejects.toThrow(
      /^The disk of .*hub is full \(ENOSPC\), with "org\/model" not whole yet; make room, or choose another disk with HF_HOME, then go on with the same command\.$/,
    );
    expect(listing(join(repo, 'refs'))).toEqual([]);
  });

  test('a cache that is a file', async () => {
    const hub = await fakeHub({ [REPO]: model });
    const { pull, settings } = rig(hub);
    mkdirSync(join(settings.cache, '..'), { recursive: true });
    writeFileSync(settings.cache, '');
    await expect(pull(REPO)).rejects.toThrow(
      /^"org\/model" cannot be written to .*hub \(ENOTDIR\); choose a folder that can be written with HF_HOME\.$/,
    );
  });

  test('the first failure ends the other downloads', async () => {
    const other = `/${oidOf('model-2.safetensors', model.files['model-2.safetensors'] ?? '')}`;
    const hub = await fakeHub({ [REPO]: model }, ({ path }) => {
      if (path === `/${oid}`) return { status: 403 };
      return path === other ? { until: new Promise(() => {}) } : undefined;
    });
    const { pull, repo } = rig(hub);
    await expect(pull(REPO)).rejects.toThrow(/HTTP 403/);
    expect(listing(join(repo, 'blobs')).filter((blob) => blob.endsWith('.lock'))).toEqual([]);
  });

  test('whoever stops it', async () => {
    const stop = new AbortController();
    const hub = await fakeHub({ [REPO]: model }, (asked) => {
      if (!isShard(asked)) return undefined;
      stop.abort(new Error('stopped by hand'));
      return { until: new Promise(() => {}) };
    });
    const { pull, repo } = rig(hub);
    await expect(pull(REPO, stop.signal)).rejects.toThrow('stopped by hand');
    expect(listing(join(repo, 'blobs')).filter((blob) => blob.endsWith('.lock'))).toEqual([]);
    expect(listing(join(repo, 'refs'))).toEqual([]);
  });

  test.each([
    ['before its answer', { until: new Promise(() => {}) }, () => true],
    ['after its headers', { stalls: true }, isContent],
  ])('a server that falls silent %s', async (_when, reply: Reply, where) => {
    const hub = await fakeHub({ [REPO]: model }, ({ path }) => (where(path) ? reply : undefined));
    const { settings } = rig(hub);
    const stages: string[] = [];
    const soon = { ...hasty, tries: 2, silence: 500 };
    const silent = pull(name(REPO), settings, new AbortController().signal, ({ stage }) => stages.push(stage), soon);
    await expect(silent).rejects.toThrow(/cannot be reached for "org\/model" \(no byte for 0\.5 s\)/);
    expect(stages).toContain(`${REPO}: no byte for 0.5 s, again in 1 s`);
  });
});
