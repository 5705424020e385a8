import type { ConvertConfig } from '../config.ts';
import { convert } from '../models/convert.ts';
import { locateModel } from '../models/resolve.ts';
import { loadAddon } from '../native/addon.ts';
import { ggufVocabulary } from '../text/gguf-vocabulary.ts';
import { fetchModel } from './hub.ts';
import type { Io } from './io.ts';
import { progressView } from './progress.ts';
import { formatBytes } from './units.ts';

export async function runConvert(config: ConvertConfig, io: Io): Promise<number> {
  const progress = progressView(io.stderr, (text) => io.stderr.write(`${text}\n`));
  const { path: model } = await locateModel(config.model, (wanted) => fetchModel(wanted, progress, io));
  let bytes: number;
  try {
    bytes = await convert({ ...config, model }, ggufVocabulary, loadAddon(), progress.step);
  } finally {
    progress.clear();
  }
  io.stdout.write(`wrote ${formatBytes(bytes)} to ${config.out}; serve it with: gattling serve ${config.out}\n`);
  return 0;
}
