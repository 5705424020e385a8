// Progress of long work: a bar on a terminal, a log line per quarter elsewhere.
import type { Progress } from '../native/addon.ts';
import type { Output } from './io.ts';

const BAR = 30;

export interface ProgressView {
  step(progress: Progress): void;
  /** Takes the bar away; nothing for lines. */
  clear(): void;
}

function bar(stderr: Output): ProgressView {
  let shown = '';
  return {
    step({ stage, done, total }) {
      const part = total > 0 ? Math.min(done / total, 1) : 1;
      const filled = Math.round(part * BAR);
      const line = `${stage} [${'#'.repeat(filled)}${' '.repeat(BAR - filled)}] ${Math.floor(part * 100)}%`;
      // Back to the first column, erase to the end of the line (ECMA-48 CHA and EL).
      if (line !== shown) stderr.write(`\x1b[G\x1b[K${line}`);
      shown = line;
    },
    clear() {
      if (shown !== '') stderr.write('\x1b[G\x1b[K');
      shown = '';
    },
  };
}

function lines(say: (text: string) => void): ProgressView {
  let last = '';
  return {
    step({ stage, done, total }) {
      const quarter = total > 0 ? Math.floor((4 * Math.min(done, total)) / total) : 4;
      const key = `${stage} ${quarter}`;
      if (key !== last) say(`${stage} ${quarter * 25}%`);
      last = key;
    },
    clear() {},
  };
}

export const progressView = (stderr: Output, say: (text: string) => void): ProgressView =>
  stderr.isTTY ? bar(stderr) : lines(say);
