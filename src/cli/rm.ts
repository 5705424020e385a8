import { createInterface } from 'node:readline/promises';
import { ConfigError, type RmConfig } from '../config.ts';
import { planRemoval, type Removal } from '../hub/remove.ts';
import { hubSettings } from '../hub/settings.ts';
import { hubName } from './hub.ts';
import type { Io } from './io.ts';
import { formatBytes } from './units.ts';

async function confirmed(question: string, io: Io): Promise<boolean> {
  if (!io.stdin.isTTY) throw new ConfigError('There is no terminal to ask on; add --yes to delete without asking.');
  const terminal = createInterface({ input: io.stdin, output: io.stderr });
  try {
    return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim());
  } finally {
    terminal.close();
  }
}

const prune = ({ shared }: Removal): string =>
  shared === 0
    ? ''
    : `; ${formatBytes(shared)} stay in the store that repositories share until "hf cache prune" finds that none needs them`;

export async function runRm(config: RmConfig, io: Io): Promise<number> {
  const removal = await planRemoval(hubName(config.name), hubSettings(io.env));
  const size = formatBytes(removal.bytes);
  if (!config.yes && !(await confirmed(`Delete ${config.name}, ${size}?`, io))) {
    io.stdout.write('nothing was deleted\n');
    return 1;
  }
  await removal.run();
  io.stdout.write(`deleted ${config.name}, ${size}${prune(removal)}\n`);
  return 0;
}
