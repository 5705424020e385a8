// From the first signal to the end: running requests finish, a second signal does not wait for them.
import type { Io, Signal } from './io.ts';

/** A terminal and npm both deliver one Ctrl-C: signals this close together are one. */
const SAME_SIGNAL_MS = 100;

/**
 * Waits for a signal, then for `drain`, or for a second signal. Resolves to true when the drain was complete.
 * The drain has a deadline of its own.
 */
export function untilStopped(io: Io, drain: (signal: Signal) => Promise<void>): Promise<boolean> {
  return new Promise((resolve, reject) => {
    let first = 0;
    const release = io.onSignal((signal) => {
      const now = performance.now();
      if (first === 0) {
        first = now;
        drain(signal)
          .then(() => resolve(true), reject)
          .finally(release);
      } else if (now - first > SAME_SIGNAL_MS) {
        release();
        resolve(false);
      }
    });
  });
}
