import { readFileSync } from 'node:fs';

/** The package's own folder, which lies above src/, and above dist/src/ of what was built. */
export const packageRoot: URL = findRoot();

function findRoot(): URL {
  for (const up of ['../', '../../']) {
    const root = new URL(up, import.meta.url);
    try {
      const { name } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'));
      if (name === 'gattling') return root;
    } catch {
      // Not there: the other layout.
    }
  }
  throw new Error('package.json of gattling must lie beside src/ or dist/.');
}
