// Takes a model out of the cache: links first, then the blobs that no other snapshot of the repository refers to.
import { lstat, readdir, readlink, rm, rmdir, unlink } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { cachedCommit, type RepoCache, repoCache, sizeOf } from './cache.ts';
import { HubError } from './errors.ts';
import { type HubName, titleOf } from './name.ts';
import { matching, nearestLabels, quantsOf } from './quants.ts';
import { commitsOf, refsOf } from './scan.ts';
import type { HubSettings } from './settings.ts';

export interface Removal {
  /** Bytes that it frees. */
  bytes: number;
  /** Bytes in the store that repositories share, which `hf cache prune` frees when no other repository needs them. */
  shared: number;
  run(): Promise<void>;
}

interface Pointer {
  commit: string;
  /** In the snapshot. */
  path: string;
  /** In blobs/; null for a file that lies in the snapshot itself. */
  oid: string | null;
}

async function pointersOf(cache: RepoCache, commit: string): Promise<Pointer[]> {
  const snapshot = cache.snapshot(commit);
  const entries = await readdir(snapshot, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => !entry.isDirectory());
  return Promise.all(
    files.map(async ({ parentPath, name }) => {
      const file = join(parentPath, name);
      const target = await readlink(file).catch(() => null);
      const blob = target === null ? null : resolve(parentPath, target);
      const oid = blob !== null && dirname(blob) === join(cache.folder, 'blobs') ? basename(blob) : null;
      return { commit, path: file.slice(snapshot.length + 1), oid };
    }),
  );
}

async function chosenCommits(name: HubName, cache: RepoCache, settings: HubSettings): Promise<string[]> {
  const commits = await commitsOf(cache);
  if (name.revision === null) return commits;
  const commit = await cachedCommit(cache, name.revision);
  if (commit !== null && commits.includes(commit)) return [commit];
  throw new HubError(
    `"${name.repo}" has no revision "${name.revision}" in ${settings.cache}; gattling list shows those that it has.`,
  );
}

/** The files of the tag; all without one. */
function chosenPointers({ repo, tag }: HubName, pointers: readonly Pointer[]): Pointer[] {
  if (tag === null) return [...pointers];
  const quants = quantsOf(new Set(pointers.map(({ path }) => path)));
  const files = new Set(matching(quants, tag).flatMap((quant) => quant.files));
  if (files.size > 0) return pointers.filter(({ path }) => files.has(path));
  const labels = nearestLabels(quants, tag);
  throw new HubError(
    `"${repo}" has no ${tag} in the cache; ${labels.length > 0 ? `it has ${labels.join(', ')}` : 'it has no GGUF files there'}.`,
  );
}

async function measure(paths: readonly string[]): Promise<Pick<Removal, 'bytes' | 'shared'>> {
  const sum = { bytes: 0, shared: 0 };
  for (const path of paths) {
    const isLink = (await lstat(path).catch(() => null))?.isSymbolicLink() ?? false;
    sum[isLink ? 'shared' : 'bytes'] += (await sizeOf(path)) ?? 0;
  }
  return sum;
}

/** Everything of the repository, downloads that were cut too. */
async function wholeRepo(cache: RepoCache): Promise<Removal> {
  const entries = await readdir(cache.folder, { recursive: true, withFileTypes: true });
  const snapshots = join(cache.folder, 'snapshots');
  const own = entries.filter(
    (entry) => !entry.isDirectory() && !(entry.isSymbolicLink() && entry.parentPath.startsWith(snapshots)),
  );
  const locks = join(dirname(cache.folder), '.locks', basename(cache.folder));
  return {
    ...(await measure(own.map(({ parentPath, name }) => join(parentPath, name)))),
    run: async () => {
      await rm(cache.folder, { recursive: true, force: true });
      await rm(locks, { recursive: true, force: true });
    },
  };
}

async function removeEmpty(folder: string, above: string): Promise<void> {
  for (let each = folder; each.startsWith(`${above}/`); each = dirname(each)) await rmdir(each).catch(() => {});
}

async function someOf(
  cache: RepoCache,
  doomed: readonly Pointer[],
  kept: readonly Pointer[],
  commits: readonly string[],
): Promise<Removal> {
  const needed = new Set(kept.map(({ oid }) => oid));
  const oids = [...new Set(doomed.map(({ oid }) => oid))].filter((oid) => oid !== null && !needed.has(oid)) as string[];
  const blobs = oids.map((oid) => cache.blob(oid));
  const pointers = doomed.map(({ commit, path }) => join(cache.snapshot(commit), path));
  const own = pointers.filter((_, i) => doomed[i]?.oid === null);
  const gone = commits.filter((commit) => !kept.some((pointer) => pointer.commit === commit));
  const refs = await refsOf(cache);
  return {
    ...(await measure([...blobs, ...own])),
    run: async () => {
      for (const ref of gone.flatMap((commit) => refs.get(commit) ?? [])) await unlink(cache.ref(ref));
      for (const pointer of pointers) {
        await unlink(pointer);
        await removeEmpty(dirname(pointer), join(cache.folder, 'snapshots'));
      }
      for (const path of gone.flatMap((commit) => [cache.snapshot(commit), cache.tree(commit)])) {
        await rm(path, { recursive: true, force: true });
      }
      for (const blob of blobs) await rm(blob, { force: true });
    },
  };
}

/** What would go; nothing goes before `run`. Without a revision it is every one. */
export async function planRemoval(name: HubName, settings: HubSettings): Promise<Removal> {
  const cache = repoCache(settings.cache, name.repo);
  if (!(await lstat(cache.folder).catch(() => null)))
    throw new HubError(`"${titleOf(name)}" is not in ${settings.cache}; gattling list shows what is.`);
  const commits = await commitsOf(cache);
  const chosen = new Set(await chosenCommits(name, cache, settings));
  const pointers = (await Promise.all(commits.map((commit) => pointersOf(cache, commit)))).flat();
  const doomed = new Set(
    chosenPointers(
      name,
      pointers.filter(({ commit }) => chosen.has(commit)),
    ),
  );
  const kept = pointers.filter((pointer) => !doomed.has(pointer));
  const all = [...chosen].length === commits.length && kept.length === 0;
  return all ? wholeRepo(cache) : someOf(cache, [...doomed], kept, [...chosen]);
}
