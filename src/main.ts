#!/usr/bin/env node
// The only user of process.*: hands the real streams, environment and signals to the command line.
import type { Signal } from './cli/io.ts';
import { run } from './cli/run.ts';

function die(error: unknown): never {
  process.stderr.write(`gattling: unexpected error: ${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(70);
}

function onSignal(listener: (signal: Signal) => void): () => void {
  process.on('SIGINT', listener).on('SIGTERM', listener);
  return () => process.off('SIGINT', listener).off('SIGTERM', listener);
}

process.on('unhandledRejection', die).on('uncaughtException', die);
// Who reads our output may leave at any time, as head does.
process.stdout.on('error', (error: NodeJS.ErrnoException) => (error.code === 'EPIPE' ? process.exit(0) : die(error)));

const { env, stdin, stdout, stderr } = process;
process.exit(await run(process.argv.slice(2), { env, stdin, stdout, stderr, onSignal }));
