// One download of a blob at a time, over all processes: a file that its holder keeps renewing. A holder that died leaves it
// unrenewed, which whoever waits sees on a clock of its own. It only saves work: two at once write the same bytes.
import { randomBytes } from 'node:crypto';
import { link, readFile, rename, stat, unlink, utimes, writeFile } from 'node:fs/promises';
import { type Patience, sleep } from './retry.ts';

export type Release = () => Promise<void>;

const unless =
  (...codes: string[]) =>
  (error: NodeJS.ErrnoException): null => {
    if (codes.includes(error.code ?? '')) return null;
    throw error;
  };

/** Changes with every renewal and every holder; null when nobody holds it. */
async function markOf(path: string): Promise<string | null> {
  const found = await stat(path, { bigint: true }).catch(unless('ENOENT'));
  return found && `${found.ino} ${found.mtimeNs}`;
}

async function claim(path: string, renew: number): Promise<Release | null> {
  const holder = randomBytes(8).toString('hex');
  const claimed = await writeFile(path, holder, { flag: 'wx' }).then(() => true, unless('EEXIST'));
  if (claimed === null) return null;
  const timer = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => {});
  }, renew).unref();
  return async () => {
    clearInterval(timer);
    // It may be another's by now: whoever waited took us for dead.
    if ((await readFile(path, 'utf8').catch(unless('ENOENT'))) === holder) await unlink(path).catch(unless('ENOENT'));
  };
}

/** Renaming takes it from one waiter's hands only; a lease renewed or claimed since goes back. */
export async function evict(path: string, mark: string): Promise<void> {
  const aside = `${path}.${randomBytes(4).toString('hex')}`;
  if ((await rename(path, aside).catch(unless('ENOENT'))) === null) return;
  if ((await markOf(aside)) !== mark) await link(aside, path).catch(unless('EEXIST'));
  await unlink(aside);
}

/** Waits for the lease, or until `settled`: then there is nothing left to do, and null comes. */
export async function takeLease(
  path: string,
  { renew, stale }: Pick<Patience, 'renew' | 'stale'>,
  signal: AbortSignal,
  settled: () => Promise<boolean>,
): Promise<Release | null> {
  let seen: string | null = null;
  let since = performance.now();
  while (!(await settled())) {
    signal.throwIfAborted();
    const release = await claim(path, renew);
    if (release) return release;
    const mark = await markOf(path);
    if (mark !== seen) since = performance.now();
    seen = mark;
    if (mark !== null && performance.now() - since > stale) await evict(path, mark);
    else await sleep(Math.min(renew, 250), signal);
  }
  return null;
}
