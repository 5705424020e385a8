// The .gguf files of a repository by quantisation, told from their names as llama.cpp and the Hub do.
import { basename } from 'node:path/posix';

export interface Quant {
  /** "Q4_K_M"; the file's name where it tells none. */
  label: string;
  /** One file, or the parts of a split one in order; the first is the one to open. */
  files: string[];
  /** Whether every part is there. */
  whole: boolean;
}

/** llama.cpp's llama_split_path: "%s-%05d-of-%05d.gguf". */
const SPLIT = /-(\d{5})-of-(\d{5})\.gguf$/i;
/** What else is kept as .gguf: projectors of images, importance matrices. */
const OTHER = /(?:^|[-._])(?:mmproj|imatrix)/i;
const LABEL = /(?<=^|[-._/])(?:UD-)?(?:I?Q\d+|TQ\d+|MXFP\d+|NVFP\d+|BF16|FP?16|FP?32)(?:_[A-Z0-9]+)*(?=$|[-._/])/gi;

const stemOf = (path: string): string => path.replace(SPLIT, '').replace(/\.gguf$/i, '');

const labelOf = (stem: string): string => (stem.match(LABEL)?.at(-1) ?? basename(stem)).toUpperCase();

function isWhole(files: readonly string[]): boolean {
  const count = SPLIT.exec(files[0] ?? '')?.[2];
  const part = (file: string) => Number(SPLIT.exec(file)?.[1]);
  return count === undefined || (files.length === Number(count) && files.every((file, i) => part(file) === i + 1));
}

export function quantsOf(paths: Iterable<string>): Quant[] {
  const byStem = new Map<string, string[]>();
  for (const path of [...paths].sort()) {
    if (!/\.gguf$/i.test(path) || OTHER.test(basename(path))) continue;
    // Of one stem there may be a whole file beside a split one.
    const key = `${stemOf(path)}/${SPLIT.exec(path)?.[2] ?? ''}`;
    byStem.set(key, [...(byStem.get(key) ?? []), path]);
  }
  return [...byStem.values()].map((files) => ({ label: labelOf(stemOf(files[0] ?? '')), files, whole: isWhole(files) }));
}

/** Every one that the tag may mean: a quantisation in any case, or a file by its name or path. */
export function matching(quants: readonly Quant[], tag: string): Quant[] {
  if (/\.gguf$/i.test(tag)) return quants.filter(({ files }) => files.some((file) => file === tag || basename(file) === tag));
  const label = tag.toUpperCase();
  const exact = quants.filter((quant) => quant.label === label);
  return exact.length > 0 ? exact : quants.filter((quant) => quant.label === `UD-${label}`);
}

const bitsOf = (label: string): number => Number(/\d+/.exec(label)?.[0] ?? Number.NaN);

function sharedStart(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}

/** Labels that exist, those of about as many bits first, those that tell no bits last. */
export function nearestLabels(quants: readonly Quant[], tag: string): string[] {
  const wanted = tag.toUpperCase();
  const off = (label: string) => {
    const bits = Math.abs(bitsOf(label) - bitsOf(wanted));
    return Number.isNaN(bits) ? 1000 : bits;
  };
  const labels = [...new Set(quants.map(({ label }) => label))];
  return labels.sort((a, b) => off(a) - off(b) || sharedStart(b, wanted) - sharedStart(a, wanted) || (a < b ? -1 : 1));
}
