// Patience with a server that is busy or away for a while.
import { setTimeout } from 'node:timers/promises';

export interface Patience {
  /** Most tries of one request. */
  tries: number;
  firstWaitMs: number;
  longestWaitMs: number;
}

/** About five minutes: a server that restarts with a large model is waited for. */
export const patience: Patience = { tries: 14, firstWaitMs: 500, longestWaitMs: 30_000 };

/** Whether to try again: null is no; a number is the time that the server asked for, in ms (within our own bounds); undefined leaves it to us. */
export type Retryable = (error: unknown) => number | undefined | null;

export async function persist<T>(
  work: () => Promise<T>,
  { tries, firstWaitMs, longestWaitMs }: Patience,
  retryable: Retryable,
  signal: AbortSignal,
  onWait: (error: unknown, ms: number) => void,
): Promise<T> {
  for (let tried = 1; ; tried++) {
    signal.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      const asked = signal.aborted || tried >= tries ? null : retryable(error);
      if (asked === null) throw error;
      const backOff = Math.min(firstWaitMs * 2 ** (tried - 1), longestWaitMs);
      const wait = Math.min(Math.max(asked ?? 0, backOff), longestWaitMs);
      onWait(error, wait);
      await setTimeout(wait, undefined, { signal });
    }
  }
}
