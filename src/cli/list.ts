import type { ListConfig } from '../config.ts';
import { type CachedModel, cachedModels } from '../hub/scan.ts';
import { hubSettings } from '../hub/settings.ts';
import type { Io } from './io.ts';
import { formatBytes } from './units.ts';

const HEAD = ['NAME', 'REVISION', 'SIZE', 'LAST USED'];

function cells({ name, revision, bytes, lastUsed, whole }: CachedModel): string[] {
  const size = whole ? formatBytes(bytes) : `${formatBytes(bytes)}, incomplete`;
  return [name, revision ?? '-', size, lastUsed.toISOString().slice(0, 10)];
}

/** Columns as wide as their widest cell. */
export function table(rows: readonly (readonly string[])[]): string {
  const width = (column: number) => Math.max(...rows.map((row) => (row[column] ?? '').length));
  const line = (row: readonly string[]) => row.map((cell, column) => cell.padEnd(width(column))).join('   ');
  return rows.map((row) => `${line(row).trimEnd()}\n`).join('');
}

export async function runList(_config: ListConfig, io: Io): Promise<number> {
  const { cache } = hubSettings(io.env);
  const models = await cachedModels(cache);
  const none = `no models in ${cache}; fetch one with: gattling pull org/repo\n`;
  io.stdout.write(models.length === 0 ? none : table([HEAD, ...models.map(cells)]));
  return 0;
}
