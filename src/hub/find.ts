// Where a named model is on this machine. What is whole in the cache is used as it is, and nobody is asked.
import { cachedCommit, repoCache } from './cache.ts';
import { explain, HubError } from './errors.ts';
import { localModel } from './local.ts';
import type { OnProgress } from './meter.ts';
import { type HubName, titleOf } from './name.ts';
import type { HubSettings } from './settings.ts';

/** The snapshot's folder or .gguf, when all of it is here; null otherwise. */
export async function findCached(name: HubName, settings: HubSettings): Promise<string | null> {
  const cache = repoCache(settings.cache, name.repo);
  const commit = await cachedCommit(cache, name.revision ?? 'main');
  const local = commit === null ? null : await localModel(name, cache, commit);
  return local === null || (local.guessed && !settings.offline) ? null : local.path;
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
