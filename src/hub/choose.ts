// Which files of a repository serving it takes: one folder's worth of safetensors, or one .gguf. Pickles never.
import { HubError, printable } from './errors.ts';
import { type HubName, isSafePath } from './name.ts';
import { matching, nearestLabels, type Quant, quantsOf } from './quants.ts';

export const INDEX = 'model.safetensors.index.json';
const SINGLE = 'model.safetensors';

/** Read where they are (src/text, src/models, native/model); the tokenizer and the weights come on top. */
const OPTIONAL = [
  'generation_config.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'chat_template.jinja',
  // Older AWQ and GPTQ folders say here what newer ones say in config.json.
  'quant_config.json',
  'quantize_config.json',
];

export interface Choice {
  /** What to open, of the snapshot: "" for its folder, or a .gguf. */
  open: string;
  /** Everything but the weights, so that a snapshot with its weights is whole. */
  small: string[];
  weights: string[];
}

/** A safetensors model whose weights are those that its INDEX names, or SINGLE. */
export const isFolder = (paths: ReadonlySet<string>): boolean => paths.has(INDEX) || paths.has(SINGLE);

function smallFiles(repo: string, paths: ReadonlySet<string>): string[] {
  const tokenizer = ['tokenizer.json', 'tokenizer.model'].find((path) => paths.has(path));
  if (!paths.has('config.json'))
    throw new HubError(`"${repo}" has no config.json beside its weights; it is not a model to serve.`);
  if (!tokenizer) throw new HubError(`"${repo}" has no tokenizer: tokenizer.json or tokenizer.model must be there.`);
  const index = paths.has(INDEX) ? [INDEX] : [];
  return ['config.json', tokenizer, ...index, ...OPTIONAL.filter((path) => paths.has(path))];
}

/** The files of an index, each once. */
export function shardsOf(repo: string, text: string, paths: ReadonlySet<string>): string[] {
  let map: unknown;
  try {
    ({ weight_map: map } = JSON.parse(text));
  } catch {}
  if (typeof map !== 'object' || map === null)
    throw new HubError(
      `"${repo}" has a ${INDEX} without a "weight_map" that names the file of each tensor; it cannot be served.`,
    );
  const shards = [...new Set(Object.values(map))];
  for (const shard of shards) {
    if (!isSafePath(shard) || !shard.endsWith('.safetensors'))
      throw new HubError(
        `"${repo}" has ${printable(JSON.stringify(shard))} in its ${INDEX}, which is not the name of a safetensors file in it.`,
      );
    if (!paths.has(shard)) throw new HubError(`"${repo}" lacks ${shard}, which its ${INDEX} names.`);
  }
  return shards as string[];
}

function noWeights(repo: string, paths: ReadonlySet<string>): HubError {
  const pickle = [...paths].find((path) => /\.(bin|pt|pth)$/.test(path));
  return new HubError(
    pickle
      ? `"${repo}" has its weights as ${pickle} only, a pickle file, which can run code when it is read; choose a repository with safetensors or GGUF.`
      : `"${repo}" has no weights that can be served: neither ${SINGLE}, nor ${INDEX} with its files, nor a .gguf file.`,
  );
}

const list = (words: readonly string[], most: number): string =>
  `${words.slice(0, most).join(', ')}${words.length > most ? ` and ${words.length - most} more` : ''}`;

function chooseQuant(repo: string, quants: readonly Quant[], tag: string | null): Quant {
  // llama.cpp's choice where none is named.
  const found = matching(quants, tag ?? 'Q4_K_M');
  const [quant = tag === null && quants.length === 1 ? quants[0] : undefined, ...others] = found;
  if (others.length > 0) {
    const files = found.map(({ files: [first = ''] }) => `:${first}`);
    throw new HubError(`"${repo}" has several files of ${quant?.label}; name one of them: ${list(files, 6)}.`);
  }
  if (quant?.whole) return quant;
  if (quant)
    throw new HubError(`"${repo}" lacks some parts of ${quant.files[0]}, a file in several parts; choose another one.`);
  const labels = list(nearestLabels(quants, tag ?? 'Q4_K_M'), 8);
  if (tag === null)
    throw new HubError(`"${repo}" has several GGUF files; name one behind a colon, "${repo}:${quants[0]?.label}": ${labels}.`);
  throw new HubError(
    quants.length === 0
      ? `"${repo}" has no GGUF files, so ":${tag}" is none of them; leave it out.`
      : `"${repo}" has no ${tag}; the nearest that it has: ${labels}.`,
  );
}

/** `readIndex` gives the text of INDEX when it is needed. */
export async function choose(
  { repo, tag }: HubName,
  paths: ReadonlySet<string>,
  readIndex: () => Promise<string>,
): Promise<Choice> {
  if (tag === null && isFolder(paths)) {
    const small = smallFiles(repo, paths);
    return { open: '', small, weights: paths.has(INDEX) ? shardsOf(repo, await readIndex(), paths) : [SINGLE] };
  }
  const quants = quantsOf(paths);
  if (tag === null && quants.length === 0) throw noWeights(repo, paths);
  const { files } = chooseQuant(repo, quants, tag);
  return { open: files[0] ?? '', small: [], weights: files };
}
