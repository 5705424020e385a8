// A model folder of random weights at a real shape, complete enough to be served.
import { mkdir, readdir, rm, statfs, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Addon, Progress } from '../native/addon.ts';
import { byteTokenizer } from './byte-tokenizer.ts';
import { ModelError, readObject } from './read.ts';
import { parameterCount, SHAPES, type Shape, shapeOf } from './shapes.ts';

const BYTES = { bfloat16: 2, float16: 2, float32: 4 } as const;

export interface SynthRequest {
  /** A name in SHAPES or the path of a config.json. */
  shape: string;
  out: string;
  /** 0 keeps the shape's. */
  maxPosition: number;
  seed: number;
  dtype: keyof typeof BYTES;
}

export async function findShape(name: string): Promise<Shape> {
  if (Object.hasOwn(SHAPES, name)) return SHAPES[name as keyof typeof SHAPES];
  if (!name.includes('.') && !name.includes('/')) {
    throw new ModelError(
      `Unknown shape "${name}"; known are ${Object.keys(SHAPES).join(', ')}, or give the path of a config.json.`,
    );
  }
  return shapeOf(await readObject(name), name);
}

/** The folder is new or empty, and its disk has room: nothing is written before both are known. */
async function checkTarget(out: string, need: number): Promise<void> {
  const entries = await readdir(out).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new ModelError(`--out ${out} must be a new or empty folder: ${error.message}.`);
  });
  if (entries.length > 0) throw new ModelError(`--out ${out} is not empty; give a new folder, or empty this one first.`);
  const free = await freeBytes(out);
  if (free >= need) return;
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
  throw new ModelError(
    `The weights need ${gigabytes(need)}, but the disk of ${out} has ${gigabytes(free)} free; give an --out on another disk.`,
  );
}

async function freeBytes(path: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  } catch (error) {
    if (dirname(path) === path) throw error;
    return freeBytes(dirname(path));
  }
}

async function writeText(out: string, shape: Shape): Promise<void> {
  const { vocab_size: size, bos_token_id: bosId, eos_token_id: eosId, max_position_embeddings: maxPosition } = shape;
  const { tokenizer, config } = byteTokenizer({ size, bosId, eosId }, maxPosition);
  await writeFile(join(out, 'tokenizer.json'), tokenizer);
  await writeFile(join(out, 'tokenizer_config.json'), config);
  await writeFile(
    join(out, 'generation_config.json'),
    `${JSON.stringify({ bos_token_id: bosId, eos_token_id: eosId }, null, 2)}\n`,
  );
}

/** Resolves to the bytes of weights written. */
export async function synth(request: SynthRequest, addon: Addon, onProgress: (progress: Progress) => void): Promise<number> {
  const found = await findShape(request.shape);
  const maxPosition = request.maxPosition || found.max_position_embeddings;
  const shape = { ...found, max_position_embeddings: maxPosition, torch_dtype: request.dtype, dtype: request.dtype };
  const out = resolve(request.out);
  await checkTarget(out, parameterCount(shape) * BYTES[request.dtype]);
  await mkdir(out, { recursive: true });
  try {
    await writeText(out, shape);
    return await addon.synth({ config: `${JSON.stringify(shape, null, 2)}\n`, out, seed: request.seed }, onProgress);
  } catch (error) {
    // The folder was empty before: leave no half of a model behind.
    await rm(out, { recursive: true, force: true });
    throw error;
  }
}
