import { stat } from 'node:fs/promises';
import { ConfigError, type InspectConfig } from '../config.ts';
import { metadataRows, parameters, tensorRows, typeTotals } from '../models/inspect.ts';
import { loadAddon, type Planner } from '../native/addon.ts';
import type { Io } from './io.ts';
import { table } from './list.ts';
import { engineOptions, memoryPlan } from './load.ts';
import { formatBytes, formatCount } from './units.ts';

export async function runInspect(config: InspectConfig, io: Io): Promise<number> {
  const { file } = config;
  const found = await stat(file).catch(() => null);
  if (!found?.isFile()) throw new ConfigError(`"${file}" is not a file; give a .gguf file.`);
  const addon = loadAddon();
  const gguf = addon.readGguf(file);
  const { version, tensors } = gguf;
  const sections = [
    `${file}: GGUF version ${version}, ${formatBytes(found.size)}, ${formatCount(parameters(tensors))} parameters in ${tensors.length} tensors\n`,
    table([['METADATA', 'VALUE'], ...metadataRows(gguf)]),
    table([['TENSOR', 'TYPE', 'SHAPE', 'BYTES'], ...tensorRows(tensors, formatBytes)]),
    table([
      ['TYPE', 'TENSORS', 'BYTES'],
      ...typeTotals(tensors).map(({ type, tensors: n, bytes }) => [type, String(n), formatBytes(bytes)]),
    ]),
    plan(addon, config),
  ];
  io.stdout.write(sections.join('\n'));
  return 0;
}

/** What serving it would take, as `serve` says it; or why it cannot be served. */
function plan(addon: Planner, config: InspectConfig): string {
  try {
    const info = addon.planModel(engineOptions({ ...config, enablePrefixCaching: true }, config.file));
    return `MEMORY\n${memoryPlan(info)
      .map((line) => `${line}\n`)
      .join('')}`;
  } catch (error) {
    return `It cannot be served: ${error instanceof Error ? error.message : String(error)}\n`;
  }
}
