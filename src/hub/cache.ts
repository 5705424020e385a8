// The cache that users of huggingface_hub already have: models--org--repo/{blobs/OID, refs/REVISION, snapshots/COMMIT/PATH,
// trees/COMMIT.json}. A snapshot's files are relative links to blobs; a blob may be a link into the store that repositories share.
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, readlink, rename, stat, statfs, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { HubError } from './errors.ts';
import { isSafePath } from './name.ts';

export interface RepoCache {
  folder: string;
  blob(oid: string): string;
  snapshot(commit: string): string;
  ref(revision: string): string;
  /** The listing of a commit. */
  tree(commit: string): string;
}

/** The repository's name is checked (isRepo): it has one slash, and no "--" of its own. */
export function repoCache(cache: string, repo: string): RepoCache {
  const folder = join(cache, `models--${repo.replace('/', '--')}`);
  return {
    folder,
    blob: (oid) => join(folder, 'blobs', oid),
    snapshot: (commit) => join(folder, 'snapshots', commit),
    ref: (revision) => join(folder, 'refs', revision),
    tree: (commit) => join(folder, 'trees', `${commit}.json`),
  };
}

const isAbsent = (error: unknown): boolean => ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '');

/** Bytes of a file, through links; null when it is not there. */
export async function sizeOf(path: string): Promise<number | null> {
  try {
    const found = await stat(path);
    return found.isFile() ? found.size : null;
  } catch (error) {
    if (isAbsent(error)) return null;
    throw error;
  }
}

/** Paths below a folder of every file in it, through links that lead somewhere; none where there is no folder. */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true }).catch((error) => {
    if (isAbsent(error)) return [];
    throw error;
  });
  const sizes = await Promise.all(entries.map((path) => sizeOf(join(folder, path))));
  // Other programs take names that a terminal would obey.
  return entries.filter((path, i) => sizes[i] !== null && isSafePath(path));
}

export const isCommit = (revision: string): boolean => /^[0-9a-f]{40}$/.test(revision);

/** The commit that a revision was when it was last asked for; null when it never was. */
export async function cachedCommit(cache: RepoCache, revision: string): Promise<string | null> {
  if (isCommit(revision)) return revision;
  try {
    const commit = (await readFile(cache.ref(revision), 'utf8')).trim();
    return isCommit(commit) ? commit : null;
  } catch (error) {
    if (isAbsent(error) || (error as NodeJS.ErrnoException).code === 'EISDIR') return null;
    throw error;
  }
}

/** In one step, so that no reader sees a half. */
export async function replace(path: string, make: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${path}.${randomBytes(4).toString('hex')}.tmp`;
  await mkdir(dirname(path), { recursive: true });
  await make(temporary);
  await rename(temporary, path);
}

export async function writeRef(cache: RepoCache, revision: string, commit: string): Promise<void> {
  if (revision === commit || (await cachedCommit(cache, revision)) === commit) return;
  await replace(cache.ref(revision), (temporary) => writeFile(temporary, commit));
}

/** Makes the snapshot's file a link to the blob. */
export async function linkBlob(cache: RepoCache, commit: string, path: string, oid: string): Promise<void> {
  const pointer = join(cache.snapshot(commit), path);
  const target = relative(dirname(pointer), cache.blob(oid));
  if ((await readlink(pointer).catch(() => null)) === target) return;
  try {
    await replace(pointer, (temporary) => symlink(target, temporary));
  } catch (error) {
    if (!['EPERM', 'ENOSYS', 'EOPNOTSUPP'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    throw new HubError(
      `The disk of ${cache.folder} has no symbolic links, which the cache is made of; choose another with HF_HOME.`,
    );
  }
}

/** Bytes that may still be written below a folder, which need not be there yet. */
export async function freeBytes(folder: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  } catch (error) {
    if (!isAbsent(error) || dirname(folder) === folder) throw error;
    return freeBytes(dirname(folder));
  }
}
