import type { SynthConfig } from '../config.ts';
import { synth } from '../models/synth.ts';
import { loadAddon } from '../native/addon.ts';
import type { Io } from './io.ts';
import { progressView } from './progress.ts';
import { formatBytes } from './units.ts';

export async function runSynth(config: SynthConfig, io: Io): Promise<number> {
  const progress = progressView(io.stderr, (text) => io.stderr.write(`${text}\n`));
  let bytes: number;
  try {
    bytes = await synth(config, loadAddon(), progress.step);
  } finally {
    progress.clear();
  }
  io.stdout.write(
    `wrote ${formatBytes(bytes)} of ${config.dtype} weights to ${config.out}; serve it with: gattling serve ${config.out}\n`,
  );
  return 0;
}
