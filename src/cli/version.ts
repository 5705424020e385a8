import { readFileSync } from 'node:fs';

/** From package.json, which lies two folders up from src/cli and three from dist/src/cli. */
export function version(): string {
  for (const up of ['../../', '../../../']) {
    try {
      const { name, version: found } = JSON.parse(readFileSync(new URL(`${up}package.json`, import.meta.url), 'utf8'));
      if (name === 'gattling') return found;
    } catch {
      // Not there: the other layout.
    }
  }
  throw new Error('package.json of gattling must lie beside src/ or dist/.');
}
