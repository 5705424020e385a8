// A cache of its own for each test, and a small model to fill it with.
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Progress } from '../../../src/hub/meter.ts';
import { type HubName, parseName } from '../../../src/hub/name.ts';
import { type Pulled, pull } from '../../../src/hub/pull.ts';
import { type Patience, patience } from '../../../src/hub/retry.ts';
import { type HubSettings, hubSettings } from '../../../src/hub/settings.ts';
import { temporary } from '../../temporary.ts';
import { commitNumber, type FakeHub, oidOf, type Repo } from './fake-hub.ts';

/** Short enough for tests; nothing is decided by it. */
export const hasty: Patience = {
  ...patience,
  tries: 3,
  firstWait: 1,
  longestWait: 4,
  longestAsked: 2000,
  renew: 20,
  stale: 2000,
};

export const COMMIT = commitNumber(1);
export const REPO = 'org/model';

export const name = (text: string): HubName => {
  const parsed = parseName(text);
  if (!parsed) throw new Error(`${text} is no name`);
  return parsed;
};

const letters = (letter: string): Buffer => Buffer.from(letter.repeat(50_000));

/** What 'model-1.safetensors' holds, and its name among the blobs and where the content is fetched. */
export const shard = letters('a');
export const oid = oidOf('model-1.safetensors', shard);
export const isShard = ({ path }: { path: string }): boolean => path === `/${oid}`;

/** Two shards, a tokenizer, and much that nobody needs. */
export const model: Repo = {
  commit: COMMIT,
  files: {
    'README.md': '# A model\n',
    'config.json': '{"eos_token_id": 2}',
    'generation_config.json': '{"temperature": 0.5}',
    'tokenizer.json': '{"version": "1.0"}',
    'tokenizer.model': 'pieces',
    'tokenizer_config.json': '{}',
    'model.safetensors.index.json':
      '{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-1.safetensors"}}',
    'model-1.safetensors': shard,
    'model-2.safetensors': letters('b'),
    'pytorch_model.bin': 'pickle',
    'original/consolidated.safetensors': 'again',
  },
};

export const NEEDED = [
  'config.json',
  'generation_config.json',
  'model-1.safetensors',
  'model-2.safetensors',
  'model.safetensors.index.json',
  'tokenizer.json',
  'tokenizer_config.json',
];

export interface Rig {
  /** The folder above everything that may be written. */
  root: string;
  settings: HubSettings;
  progress: Progress[];
  pull(text: string, signal?: AbortSignal): Promise<Pulled>;
  /** models--org--model */
  repo: string;
}

export function rig(hub: Pick<FakeHub, 'url'>, env: Record<string, string> = {}): Rig {
  const root = temporary();
  const settings = hubSettings({ HOME: join(root, 'user'), HF_HOME: join(root, 'user/hf'), HF_ENDPOINT: hub.url, ...env });
  const progress: Progress[] = [];
  const never = new AbortController().signal;
  return {
    root,
    settings,
    progress,
    pull: (text, signal = never) => pull(name(text), settings, signal, (step) => progress.push(step), hasty),
    repo: join(settings.cache, 'models--org--model'),
  };
}

/** Paths below a folder of everything that is not a folder, sorted. */
export function listing(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => !entry.isDirectory());
  return files.map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1)).sort();
}

export const text = (...path: string[]): string => readFileSync(join(...path), 'utf8');

export const linkOf = (...path: string[]): string | null =>
  lstatSync(join(...path)).isSymbolicLink() ? readlinkSync(join(...path)) : null;
