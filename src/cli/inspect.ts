import { stat } from 'node:fs/promises';
import { ConfigError, type InspectConfig } from '../config.ts';
import { kvBytesPerToken, metadataRows, parameters, tensorRows, typeTotals } from '../models/inspect.ts';
import { loadAddon } from '../native/addon.ts';
import type { Io } from './io.ts';
import { table } from './list.ts';
import { formatBytes, formatCount } from './units.ts';

export async function runInspect({ file, maxModelLen }: InspectConfig, io: Io): Promise<number> {
  const found = await stat(file).catch(() => null);
  if (!found?.isFile()) throw new ConfigError(`"${file}" is not a file; give a .gguf file.`);
  const gguf = loadAddon().readGguf(file);
  const { version, tensors } = gguf;
  const perToken = kvBytesPerToken(gguf);
  const weights = tensors.reduce((sum, { bytes }) => sum + bytes, 0);
  const sections = [
    `${file}: GGUF version ${version}, ${formatBytes(found.size)}, ${formatCount(parameters(tensors))} parameters in ${tensors.length} tensors\n`,
    table([['METADATA', 'VALUE'], ...metadataRows(gguf)]),
    table([['TENSOR', 'TYPE', 'SHAPE', 'BYTES'], ...tensorRows(tensors, formatBytes)]),
    table([
      ['TYPE', 'TENSORS', 'BYTES'],
      ...typeTotals(tensors).map(({ type, tensors: n, bytes }) => [type, String(n), formatBytes(bytes)]),
    ]),
  ];
  if (perToken !== null)
    sections.push(
      `memory: weights ${formatBytes(weights)} as stored, KV cache ${formatBytes(perToken)} a token in 16 bits, ` +
        `${formatBytes(perToken * maxModelLen)} for ${formatCount(maxModelLen)} tokens\n`,
    );
  io.stdout.write(sections.join('\n'));
  return 0;
}
