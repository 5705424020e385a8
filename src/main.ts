#!/usr/bin/env node
// The only user of process.*: hands the real streams, environment and signals to the command line.
import type { Signal } from './cli/io.ts';
import { isServer, run } from './cli/run.ts';

const argv = process.argv.slice(2);

function die(error: unknown): never {
  process.stderr.write(`gattling: unexpected error: ${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(70);
}

function onSignal(listener: (signal: Signal) => void): () => void {
  process.on('SIGINT', listener).on('SIGTERM', listener);
  return () => process.off('SIGINT', listener).off('SIGTERM', listener);
}

process.on('unhandledRejection', die).on('uncaughtException', die);
// Who reads our output may leave at any time, as head does; a server goes on without its log.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') die(error);
  if (!isServer(argv)) process.exit(0);
});

const { env, stdin, stdout, stderr } = process;
process.exit(await run(argv, { env, stdin, stdout, stderr, onSignal }));
