// From a name to a snapshot in the cache: which commit, which files, the small ones, then the weights, a few at a time.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { commitOf, filesOf, type RemoteFile } from './api.ts';
import { fetchBlob } from './blob.ts';
import { freeBytes, linkBlob, type RepoCache, repoCache, sizeOf, writeRef } from './cache.ts';
import { type Choice, choose, INDEX } from './choose.ts';
import { explain, HubError, type Subject } from './errors.ts';
import type { Connection } from './http.ts';
import { Meter, type OnProgress } from './meter.ts';
import { type HubName, titleOf } from './name.ts';
import { type Patience, patience } from './retry.ts';
import { type HubSettings, readToken } from './settings.ts';
import { writeTree } from './trees.ts';

/** Downloads at once. */
const PARALLEL = 4;
/** Of an index of shards: it is read into memory. */
const MOST_INDEX = 256 * 2 ** 20;

export interface Pulled {
  /** The snapshot's folder, or the .gguf in it. */
  path: string;
  commit: string;
}

interface Pull {
  name: HubName;
  commit: string;
  files: ReadonlyMap<string, RemoteFile>;
  cache: RepoCache;
  connection: Connection;
  meter: Meter;
}

/** Files whose blob is not there yet; of equal ones, one. A snapshot may hold the file itself, where there were no links. */
async function absent({ cache, commit }: Pull, files: readonly RemoteFile[]): Promise<RemoteFile[]> {
  const one = new Map(files.map((file) => [file.oid, file]));
  const there = async ({ path, oid, size }: RemoteFile) =>
    (await sizeOf(join(cache.snapshot(commit), path))) === size || (await sizeOf(cache.blob(oid))) === size;
  const found = await Promise.all([...one.values()].map(async (file) => ((await there(file)) ? [] : [file])));
  return found.flat();
}

async function checkSpace({ name, cache }: Pull, files: readonly RemoteFile[]): Promise<void> {
  const begun = await Promise.all(files.map(({ oid }) => sizeOf(`${cache.blob(oid)}.incomplete`)));
  const need = files.reduce((sum, { size }, i) => sum + Math.max(size - (begun[i] ?? 0), 0), 0);
  const free = await freeBytes(cache.folder);
  if (need <= free) return;
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
  throw new HubError(
    `"${name.repo}" needs ${gigabytes(need)} more, but the disk of ${cache.folder} has ${gigabytes(free)} free; make room, or choose another disk with HF_HOME.`,
  );
}

/** The first failure ends the others. */
async function fetchAll({ name, cache, connection, meter }: Pull, files: readonly RemoteFile[]): Promise<void> {
  const failed = new AbortController();
  const together = { ...connection, signal: AbortSignal.any([connection.signal, failed.signal]) };
  const queue = [...files];
  const worker = async () => {
    for (let file = queue.shift(); file; file = queue.shift()) {
      const { oid } = file;
      await fetchBlob(name.repo, file, cache, together, (bytes) => meter.at(oid, bytes));
    }
  };
  const end = (error: unknown) => failed.abort(error);
  await Promise.all(Array.from({ length: PARALLEL }, () => worker().catch(end)));
  connection.signal.throwIfAborted();
  failed.signal.throwIfAborted();
}

/** Fetches and links; what is there already is only linked. */
async function bring(pull: Pull, paths: readonly string[]): Promise<void> {
  const files = paths.flatMap((path) => pull.files.get(path) ?? []);
  const missing = await absent(pull, files);
  const isMissing = new Set(missing.map(({ oid }) => oid));
  for (const { oid, size } of files) if (!isMissing.has(oid)) pull.meter.at(oid, size);
  await checkSpace(pull, missing);
  await fetchAll(pull, missing);
  for (const { path, oid, size } of files) {
    if ((await sizeOf(pull.cache.blob(oid))) === size) await linkBlob(pull.cache, pull.commit, path, oid);
  }
}

async function readIndex(pull: Pull): Promise<string> {
  const { repo } = pull.name;
  const size = pull.files.get(INDEX)?.size ?? 0;
  if (size > MOST_INDEX) throw new HubError(`"${repo}" has a ${INDEX} of ${size} bytes, which is too large to be one.`);
  await bring(pull, [INDEX]);
  return readFile(join(pull.cache.snapshot(pull.commit), INDEX), 'utf8');
}

const sizes = (pull: Pull, { small, weights }: Choice): Map<string, number> =>
  new Map([...small, ...weights].flatMap((path) => pull.files.get(path) ?? []).map(({ oid, size }) => [oid, size]));

async function pullWith(name: HubName, cache: RepoCache, connection: Connection, meter: Meter): Promise<Pulled> {
  const revision = name.revision ?? 'main';
  const commit = await commitOf(name.repo, revision, connection);
  const listing = await filesOf(name.repo, commit, connection);
  const { files } = listing;
  const pull: Pull = { name, commit, files, cache, connection, meter };
  const choice = await choose(name, new Set(files.keys()), () => readIndex(pull));
  meter.expect(sizes(pull, choice));
  await bring(pull, choice.small);
  await bring(pull, choice.weights);
  await writeTree(cache, commit, listing);
  // Last: until then the revision is what it was, whole.
  await writeRef(cache, revision, commit);
  return { path: join(cache.snapshot(commit), choice.open), commit };
}

export async function pull(
  name: HubName,
  settings: HubSettings,
  signal: AbortSignal,
  onProgress: OnProgress,
  limits: Patience = patience,
): Promise<Pulled> {
  const token = await readToken(settings);
  const { endpoint, cache } = settings;
  const meter = new Meter(titleOf(name), onProgress);
  const connection = { endpoint, token, signal, patience: limits, onWait: meter.waiting };
  const subject: Subject = { repo: name.repo, revision: name.revision ?? 'main', endpoint, known: token !== null, cache };
  try {
    return await pullWith(name, repoCache(cache, name.repo), connection, meter);
  } catch (error) {
    throw explain(error, subject);
  }
}
