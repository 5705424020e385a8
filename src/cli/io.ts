// What a command may use of the process; main.ts gives the real one, tests give streams.
import type { Readable, Writable } from 'node:stream';
import type { Environment } from './settings.ts';

export type Signal = 'SIGINT' | 'SIGTERM';

export type Output = Writable & { isTTY?: boolean; columns?: number };

export interface Io {
  env: Environment;
  stdin: Readable & { isTTY?: boolean };
  stdout: Output;
  stderr: Output;
  /** Takes over SIGINT and SIGTERM until the returned function is called. */
  onSignal(listener: (signal: Signal) => void): () => void;
}
