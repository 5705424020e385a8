import { readFile } from 'node:fs/promises';
import { ConfigError, type QuantizeConfig } from '../config.ts';
import { quantize } from '../models/quantize.ts';
import { locateModel } from '../models/resolve.ts';
import { loadAddon, type QuantizedWeights } from '../native/addon.ts';
import { fetchModel } from './hub.ts';
import type { Io } from './io.ts';
import { table } from './list.ts';
import { perplexity } from './perplexity.ts';
import { progressView } from './progress.ts';
import { formatBytes } from './units.ts';

export async function runQuantize(config: QuantizeConfig, io: Io): Promise<number> {
  const { out, text: path } = config;
  const addon = loadAddon();
  const progress = progressView(io.stderr, (line) => io.stderr.write(`${line}\n`));
  const { path: model } = await locateModel(config.model, (wanted) => fetchModel(wanted, progress, io));
  const text = path === undefined ? null : await readText(path);
  // Before the work, which a text that cannot be scored would only follow.
  const before = text === null ? null : await perplexity(model, text, addon);
  let written: QuantizedWeights;
  try {
    written = await quantize({ ...config, model }, addon, progress.step);
  } finally {
    progress.clear();
  }
  const { bytes, numKept, tensors } = written;
  const percent = (error: number) => `${(100 * error).toFixed(2)} %`;
  if (tensors.length > 0)
    io.stdout.write(table([['TENSOR', 'ERROR'], ...tensors.map(({ name, error }) => [name, percent(error)])]));
  if (numKept > 0) io.stdout.write(`${numKept} files of an earlier run were kept\n`);
  io.stdout.write(`wrote ${formatBytes(bytes)} of weights to ${out}; serve them with: gattling serve ${out}\n`);
  if (text !== null && before !== null) {
    const after = await perplexity(out, text, addon);
    const change = percent(after / before - 1);
    io.stdout.write(`perplexity of ${path}: ${before.toFixed(4)} before, ${after.toFixed(4)} after (${change})\n`);
  }
  return 0;
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new ConfigError(`--text ${path} cannot be read: ${(error as Error).message}.`);
  }
}
