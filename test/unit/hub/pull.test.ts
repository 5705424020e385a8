import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { pull } from '../../../src/hub/pull.ts';
import { closedAddress, commitNumber, fakeHub, isLarge, oidOf, type Reply, type Repo } from './fake-hub.ts';
import { COMMIT, hasty, linkOf, listing, model, NEEDED, name, REPO, rig, text } from './rig.ts';

const shard = model.files['model-1.safetensors'] as Buffer;
const oid = oidOf('model-1.safetensors', shard);
const isShard = ({ path }: { path: string }) => path === `/${oid}`;

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

describe('what is not there', () => {
  const without = async (files: Repo['files'], text = REPO) => {
    const hub = await fakeHub({ [REPO]: { commit: COMMIT, files } });
    const { pull, root } = rig(hub);
    const error: Error = await pull(text).then(
      () => expect.unreachable(),
      (reason) => reason,
    );
    expect(listing(root).filter((file) => isLarge(file))).toEqual([]);
    return error.message;
  };
  const { 'config.json': config = '', 'tokenizer.json': tokenizer = '', ...rest } = model.files;

  test('weights as pickles only', async () => {
    expect(await without({ 'config.json': config, 'tokenizer.json': tokenizer, 'pytorch_model.bin': 'x' })).toMatch(
      /^"org\/model" has its weights as pytorch_model\.bin only, a pickle file, which can run code when it is read; choose a repository/,
    );
  });

  test('no weights', async () => {
    expect(await without({ 'README.md': '' })).toMatch(
      /^"org\/model" has no weights that can be served: neither model\.safetensors, nor/,
    );
  });

  test('no config, no tokenizer', async () => {
    expect(await without({ ...rest, 'tokenizer.json': tokenizer })).toMatch(
      /^"org\/model" has no config\.json beside its weights/,
    );
    const { 'tokenizer.model': pieces, ...bare } = rest;
    expect(pieces).toBeDefined();
    expect(await without({ ...bare, 'config.json': config })).toMatch(
      /^"org\/model" has no tokenizer: tokenizer\.json or tokenizer\.model/,
    );
  });

  test.each(['{', '[]', 'null', '{"weight_map": 3}'])('an index that is %s', async (text) => {
    const files = { ...model.files, 'model.safetensors.index.json': text };
    expect(await without(files)).toMatch(/^"org\/model" has a model\.safetensors\.index\.json without a "weight_map"/);
  });

  test('a shard that the index names', async () => {
    const { 'model-2.safetensors': shard2, ...files } = model.files;
    expect(shard2).toBeDefined();
    expect(await without(files)).toBe('"org/model" lacks model-2.safetensors, which its model.safetensors.index.json names.');
  });

  const ggufs = (...names: string[]) => Object.fromEntries(names.map((each) => [each, each]));
  const many = ggufs(
    'm.Q2_K.gguf',
    'm.Q3_K_L.gguf',
    'm.Q4_0.gguf',
    'm.Q4_K_S.gguf',
    'm.Q8_0.gguf',
    'm.f16.gguf',
    'mmproj-f32.gguf',
  );

  test('a quantisation: the nearest are named', async () => {
    expect(await without(many, `${REPO}:Q4_K_M`)).toBe(
      '"org/model" has no Q4_K_M; the nearest that it has: Q4_K_S, Q4_0, Q3_K_L, Q2_K, Q8_0, F16.',
    );
  });

  test('none named, none that is usual', async () => {
    expect(await without(many)).toMatch(
      /^"org\/model" has several GGUF files; name one behind a colon, "org\/model:Q2_K": Q4_K_S, Q4_0/,
    );
  });

  test('a quantisation of a repository that has none', async () => {
    expect(await without(model.files, `${REPO}:Q4_K_M`)).toBe(
      '"org/model" has no GGUF files, so ":Q4_K_M" is none of them; leave it out.',
    );
  });

  test('two files of one quantisation', async () => {
    expect(await without(ggufs('a-Q4_0.gguf', 'b-Q4_0.gguf'), `${REPO}:Q4_0`)).toBe(
      '"org/model" has several files of Q4_0; name one of them: :a-Q4_0.gguf, :b-Q4_0.gguf.',
    );
  });

  test('a part of a split file', async () => {
    expect(await without(ggufs('a-Q4_0-00001-of-00003.gguf', 'a-Q4_0-00003-of-00003.gguf'), `${REPO}:Q4_0`)).toMatch(
      /^"org\/model" lacks some parts of a-Q4_0-00001-of-00003\.gguf/,
    );
  });
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
