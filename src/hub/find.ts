// Where a named model is on this machine. What is whole in the cache is used as it is, and nobody is asked.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cachedCommit, filesBelow, repoCache } from './cache.ts';
import { type Choice, choose, INDEX } from './choose.ts';
import { explain, HubError } from './errors.ts';
import type { OnProgress } from './meter.ts';
import { type HubName, titleOf } from './name.ts';
import { quantsOf } from './quants.ts';
import type { HubSettings } from './settings.ts';

/** null when something is missing. */
async function chooseLocal(name: HubName, snapshot: string): Promise<Choice | null> {
  const paths = new Set(await filesBelow(snapshot));
  try {
    return await choose(name, paths, () => readFile(join(snapshot, INDEX), 'utf8'));
  } catch (error) {
    if (error instanceof HubError) return null;
    throw error;
  }
}

/** Whether the Hub could mean another file by a name without quantisation than the only one that is here. */
const isGuess = ({ tag }: HubName, { open }: Choice): boolean =>
  tag === null && open !== '' && quantsOf([open])[0]?.label !== 'Q4_K_M';

/** The snapshot's folder or .gguf, when all of it is here; null otherwise. */
export async function findCached(name: HubName, settings: HubSettings): Promise<string | null> {
  const cache = repoCache(settings.cache, name.repo);
  const commit = await cachedCommit(cache, name.revision ?? 'main');
  if (commit === null) return null;
  const choice = await chooseLocal(name, cache.snapshot(commit));
  if (choice === null || (!settings.offline && isGuess(name, choice))) return null;
  return join(cache.snapshot(commit), choice.open);
}

function notHere(name: HubName, { cache }: HubSettings): HubError {
  const at = name.revision === null ? '' : ` at revision "${name.revision}"`;
  return new HubError(
    `"${titleOf(name)}"${at} is not whole in ${cache}, and HF_HUB_OFFLINE keeps it from being fetched; unset it, or run gattling pull where there is a network and copy the cache.`,
  );
}

export async function findModel(
  name: HubName,
  settings: HubSettings,
  signal: AbortSignal,
  onProgress: OnProgress,
): Promise<string> {
  const { endpoint, cache } = settings;
  const found = await findCached(name, settings).catch((error) => {
    throw explain(error, { repo: name.repo, revision: name.revision ?? 'main', endpoint, known: false, cache });
  });
  if (found !== null) return found;
  if (settings.offline) throw notHere(name, settings);
  // Brings @huggingface/hub, which a cached model does not need.
  const { pull } = await import('./pull.ts');
  return (await pull(name, settings, signal, onProgress)).path;
}
