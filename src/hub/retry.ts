// Patience with a network that breaks and a server that is busy.
import { setTimeout } from 'node:timers/promises';
import { ConnectionError, StatusError } from './errors.ts';

/** All in ms but `tries`. */
export interface Patience {
  /** Most tries in a row of which none got further than the one before. */
  tries: number;
  firstWait: number;
  longestWait: number;
  /** Longest wait that a server may ask for. */
  longestAsked: number;
  /** Longest silence in the middle of an answer. */
  silence: number;
  /** How often the holder of a lease renews it, and for how long it is left alone when nobody does. */
  renew: number;
  stale: number;
}

/** The Hub counts requests in windows of 5 minutes. */
export const patience: Patience = {
  tries: 6,
  firstWait: 500,
  longestWait: 15_000,
  longestAsked: 300_000,
  silence: 30_000,
  renew: 1000,
  stale: 6000,
};

export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  await setTimeout(ms, undefined, { signal }).catch(() => signal.throwIfAborted());
}

const PASSING: readonly number[] = [408, 425, 429, 500, 502, 503, 504];

/** null: not again. `tried` counts from 1. */
function waitMs(error: unknown, tried: number, limits: Patience): number | null {
  if (tried >= limits.tries) return null;
  const backoff = Math.min(limits.firstWait * 2 ** (tried - 1), limits.longestWait);
  if (error instanceof ConnectionError) return backoff;
  if (!(error instanceof StatusError) || !PASSING.includes(error.status)) return null;
  const asked = error.askedMs ?? backoff;
  return asked > limits.longestAsked ? null : asked;
}

export interface Attempts {
  patience: Patience;
  signal: AbortSignal;
  onWait(reason: string, ms: number): void;
}

/** `position` is how far the work has come: one that gets further after a failure has its tries anew. */
export async function persist<T>(work: () => Promise<T>, attempts: Attempts, position: () => number = () => 0): Promise<T> {
  let tried = 0;
  let reached = position();
  for (;;) {
    attempts.signal.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      attempts.signal.throwIfAborted();
      tried = position() > reached ? 1 : tried + 1;
      reached = position();
      const ms = waitMs(error, tried, attempts.patience);
      if (ms === null) throw error;
      attempts.onWait((error as Error).message, ms);
      await sleep(ms, attempts.signal);
    }
  }
}
