import { readFileSync } from 'node:fs';
import { packageRoot } from '../root.ts';

export function version(): string {
  return JSON.parse(readFileSync(new URL('package.json', packageRoot), 'utf8')).version;
}
