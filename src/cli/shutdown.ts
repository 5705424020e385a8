// From the first signal to the end: running requests finish, a second signal does not wait for them.
import type { Io, Signal } from './io.ts';

/** A terminal and npm both deliver one Ctrl-C: signals this close together are one. */
const SAME_SIGNAL_MS = 100;

/**
 * Waits for a signal, then for `drain`, which has a deadline of its own, or for a second signal. Resolves to true when the drain
 * was complete. Signals stay taken over: the copy that arrives late must not kill a program that is about to end well.
 */
export function untilStopped(io: Io, drain: (signal: Signal) => Promise<void>): Promise<boolean> {
  return new Promise((resolve, reject) => {
    let first: number | null = null;
    io.onSignal((signal) => {
      const now = performance.now();
      if (first === null) {
        first = now;
        drain(signal).then(() => resolve(true), reject);
      } else if (now - first > SAME_SIGNAL_MS) {
        resolve(false);
      }
    });
  });
}
