// What the cache holds, a row for each thing that can be served by name.
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { cachedCommit, filesBelow, type RepoCache, repoCache, sizeOf } from './cache.ts';
import { isFolder } from './choose.ts';
import { localModel } from './local.ts';
import { parseName } from './name.ts';
import { type Quant, quantsOf } from './quants.ts';

export interface CachedModel {
  /** "org/repo" or "org/repo:Q4_K_M" */
  name: string;
  /** Branches and tags that it is, or else the commit; null for downloads that were cut. */
  revision: string | null;
  bytes: number;
  lastUsed: Date;
  whole: boolean;
}

const PREFIX = 'models--';

const none = (error: NodeJS.ErrnoException): string[] => {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
  throw error;
};

/** Repositories of the cache, as "org/repo". */
async function repos(cache: string): Promise<string[]> {
  const folders = await readdir(cache).catch(none);
  const names = folders.filter((folder) => folder.startsWith(PREFIX)).map((folder) => folder.slice(PREFIX.length));
  return names.map((name) => name.replace('--', '/')).filter((name) => parseName(name)?.repo === name);
}

/** Names of each commit. */
export async function refsOf(cache: RepoCache): Promise<Map<string, string[]>> {
  const names = new Map<string, string[]>();
  for (const ref of (await filesBelow(join(cache.folder, 'refs'))).sort()) {
    const commit = await cachedCommit(cache, ref);
    if (commit !== null) names.set(commit, [...(names.get(commit) ?? []), ref]);
  }
  return names;
}

export const commitsOf = (cache: RepoCache): Promise<string[]> => readdir(join(cache.folder, 'snapshots')).catch(none);

async function measure(folder: string, paths: readonly string[]): Promise<Pick<CachedModel, 'bytes' | 'lastUsed'>> {
  const found = await Promise.all(paths.map((path) => stat(join(folder, path)).catch(() => null)));
  const there = found.filter((each) => each !== null);
  const used = Math.max(0, ...there.map(({ atimeMs, mtimeMs }) => Math.max(atimeMs, mtimeMs)));
  return { bytes: there.reduce((sum, { size }) => sum + size, 0), lastUsed: new Date(used) };
}

/** Its label, or the file's name where several have the same. */
const tagOf = (quant: Quant, all: readonly Quant[]): string =>
  all.filter(({ label }) => label === quant.label).length === 1 ? quant.label : (quant.files[0] ?? '');

async function snapshotRows(repo: string, cache: RepoCache, commit: string, revision: string): Promise<CachedModel[]> {
  const snapshot = cache.snapshot(commit);
  const paths = new Set(await filesBelow(snapshot));
  const quants = quantsOf(paths);
  const rest = [...paths].filter((path) => !/\.gguf$/i.test(path));
  const rows = quants.map(async (quant) => {
    const tag = tagOf(quant, quants);
    return { name: `${repo}:${tag}`, revision, whole: quant.whole, ...(await measure(snapshot, quant.files)) };
  });
  if (isFolder(paths) || quants.length === 0) {
    const whole = (await localModel({ repo, revision: null, tag: null }, cache, commit)) !== null;
    rows.unshift(measure(snapshot, rest).then((measured) => ({ name: repo, revision, whole, ...measured })));
  }
  return Promise.all(rows);
}

/** What was cut, and will go on when the model is asked for again. */
async function cutRow(repo: string, cache: RepoCache): Promise<CachedModel[]> {
  const blobs = join(cache.folder, 'blobs');
  const cut = (await readdir(blobs).catch(none)).filter((name) => name.endsWith('.incomplete'));
  const there = (await Promise.all(cut.map(async (name) => ((await sizeOf(join(blobs, name))) === null ? [] : [name])))).flat();
  return there.length === 0 ? [] : [{ name: repo, revision: null, whole: false, ...(await measure(blobs, there)) }];
}

async function repoRows(repo: string, cache: RepoCache): Promise<CachedModel[]> {
  const refs = await refsOf(cache);
  const rows: CachedModel[] = [];
  for (const commit of (await commitsOf(cache)).sort()) {
    rows.push(...(await snapshotRows(repo, cache, commit, refs.get(commit)?.join(', ') ?? commit)));
  }
  return [...rows, ...(await cutRow(repo, cache))];
}

/** By name. */
export async function cachedModels(cache: string): Promise<CachedModel[]> {
  const rows: CachedModel[] = [];
  for (const repo of (await repos(cache)).sort()) rows.push(...(await repoRows(repo, repoCache(cache, repo))));
  return rows;
}
