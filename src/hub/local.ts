// What the cache has of a named model, without asking anybody.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { filesBelow, type RepoCache, sizeOf } from './cache.ts';
import { type Choice, choose, INDEX } from './choose.ts';
import { HubError } from './errors.ts';
import type { HubName } from './name.ts';
import { readTree } from './trees.ts';

export interface Local {
  /** The snapshot's folder, or the .gguf in it. */
  path: string;
  /** Whether the Hub may mean other files by the name: its listing is not known, and these are what happens to be here. */
  guessed: boolean;
}

/** null when the files are not those of a model. */
async function tryChoose(name: HubName, paths: ReadonlySet<string>, snapshot: string): Promise<Choice | null> {
  try {
    return await choose(name, paths, () => readFile(join(snapshot, INDEX), 'utf8'));
  } catch (error) {
    if (error instanceof HubError || (error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

async function hasAll(snapshot: string, { small, weights }: Choice, tree: ReadonlyMap<string, number>): Promise<boolean> {
  const sizes = await Promise.all(
    [...small, ...weights].map(async (path) => [tree.get(path), await sizeOf(join(snapshot, path))]),
  );
  return sizes.every(([announced, there]) => announced === there);
}

/** null when something is missing. */
export async function localModel(name: HubName, cache: RepoCache, commit: string): Promise<Local | null> {
  const snapshot = cache.snapshot(commit);
  const tree = await readTree(cache, commit);
  if (tree) {
    const choice = await tryChoose(name, new Set(tree.keys()), snapshot);
    return choice && (await hasAll(snapshot, choice, tree)) ? { path: join(snapshot, choice.open), guessed: false } : null;
  }
  // Snapshots have their small files before their weights, so that what has its weights has what it needs.
  const choice = await tryChoose(name, new Set(await filesBelow(snapshot)), snapshot);
  return choice && { path: join(snapshot, choice.open), guessed: name.tag === null && choice.open !== '' };
}
