// What a commit holds, kept beside its snapshot in the form of huggingface_hub (_tree_cache.py, format 1): with it, whether a
// snapshot has all that serving needs is known without a network.
import { readFile, writeFile } from 'node:fs/promises';
import type { Listing, RemoteFile } from './api.ts';
import { type RepoCache, replace, sizeOf } from './cache.ts';
import { isSafePath } from './name.ts';

const FORMAT = 1;
/** Bytes of a listing that are read. */
const MOST = 64 * 2 ** 20;

function record({ size, oid, gitOid, xetHash }: RemoteFile): object {
  const large = oid === gitOid ? {} : { lfs_sha256: oid, lfs_size: size };
  return { size, blob_id: gitOid, ...large, ...(xetHash === null ? {} : { xet_hash: xetHash }) };
}

/** A listing that is not whole is not kept: others would take it for the repository. */
export async function writeTree(cache: RepoCache, commit: string, { files, whole }: Listing): Promise<void> {
  const path = cache.tree(commit);
  if (!whole || (await sizeOf(path)) !== null) return;
  const entries = [...files.values()].map((file) => [file.path, record(file)]);
  const text = JSON.stringify({ format_version: FORMAT, files: Object.fromEntries(entries) }, null, 1);
  await replace(path, (temporary) => writeFile(temporary, text));
}

/** Bytes of each file of the commit; null when they are not known. */
export async function readTree(cache: RepoCache, commit: string): Promise<Map<string, number> | null> {
  const path = cache.tree(commit);
  if (((await sizeOf(path)) ?? Number.POSITIVE_INFINITY) > MOST) return null;
  try {
    const { format_version: format, files } = JSON.parse(await readFile(path, 'utf8'));
    if (format !== FORMAT) return null;
    const sizes = Object.entries(files as Record<string, { size: number }>).map(([file, { size }]) => [file, size] as const);
    return new Map(sizes.filter(([file]) => isSafePath(file)));
  } catch {
    // Another program's file, and not needed.
    return null;
  }
}
