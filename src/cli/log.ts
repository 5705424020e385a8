// Where the log goes: JSON lines for collectors, sentences on a terminal.
import { type Logger, pino } from 'pino';
import { redact } from '../server/log.ts';
import type { Output } from './io.ts';

interface Line {
  level: number;
  time: number;
  msg?: string;
  err?: { stack?: string; message?: string };
  [field: string]: unknown;
}

// pino's numbers: 40 is warn, 50 error.
const LABELS: readonly [number, string][] = [
  [50, 'error: '],
  [40, 'warning: '],
];

/** {"level":30,"time":...,"status":200,"msg":"request"} -> "12:00:01 request status=200" */
export function sentence(json: string): string {
  const { level, time, pid, hostname, msg = '', err, ...fields } = JSON.parse(json) as Line;
  const clock = new Date(time).toTimeString().slice(0, 8);
  const [, label = ''] = LABELS.find(([least]) => level >= least) ?? [];
  const pairs = Object.entries(fields).map(
    ([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return `${clock} ${label}${msg}${pairs.join('')}${err ? `\n${err.stack ?? err.message}` : ''}\n`;
}

export function createLogger(level: string, stdout: Output): Logger {
  const destination = stdout.isTTY ? { write: (json: string) => stdout.write(sentence(json)) } : stdout;
  return pino({ level, redact }, destination);
}
