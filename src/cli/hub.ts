// Work with the Hub under a command: names, the settings of the environment, and signals that end a download well.
import { HubError } from '../hub/errors.ts';
import { findModel } from '../hub/find.ts';
import { type HubName, parseName } from '../hub/name.ts';
import { hubSettings } from '../hub/settings.ts';
import type { Io } from './io.ts';
import type { ProgressView } from './progress.ts';

export function hubName(text: string): HubName {
  const name = parseName(text);
  if (name) return name;
  throw new HubError(
    `"${text}" is not the name of a repository; give it as org/repo, org/repo@revision or org/repo:Q4_K_M, without an address before it.`,
  );
}

/** The first signal ends the work, which leaves what has arrived to be gone on with. */
export async function interruptible<T>(io: Io, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const interrupted = new AbortController();
  const stop = io.onSignal((signal) =>
    interrupted.abort(new HubError(`${signal}: stopped; what has arrived is kept, and the same command goes on from there.`)),
  );
  try {
    return await work(interrupted.signal);
  } finally {
    stop();
  }
}

/** The path of a named model, fetched where the cache does not hold it. */
export async function fetchModel(name: HubName, progress: ProgressView, io: Io): Promise<string> {
  try {
    return await interruptible(io, (signal) => findModel(name, hubSettings(io.env), signal, progress.step));
  } finally {
    progress.clear();
  }
}
