// A model folder of plain weights becomes one of packed integers, in GPTQ's layout: the weights are written natively, what
// stands around them is copied, and config.json, without which a folder is no model, comes last.
import { copyFile, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Progress, QuantizationName, QuantizedWeights, Quantizer } from '../native/addon.ts';
import { ModelError, readObject } from './read.ts';
import { resolveModel } from './resolve.ts';

export interface QuantizeRequest {
  /** A folder of a Hugging Face model. */
  model: string;
  /** A folder that holds no model: a new one, or that of a run that was cut. */
  out: string;
  quantization: Exclude<QuantizationName, 'none'>;
}

const FORMS = {
  int8: { bits: 8, group_size: 32 },
  int4: { bits: 4, group_size: 32 },
  'int4-g128': { bits: 4, group_size: 128 },
} as const;

/** What a folder holds beside weights and config.json. */
const isCopied = (name: string): boolean =>
  /\.(json|jinja|model|txt|md)$/i.test(name) && !/^(config|quantize_config|quant_config)\.json$|\.index\.json$/.test(name);

export async function quantize(
  { model, out, quantization }: QuantizeRequest,
  addon: Quantizer,
  onProgress: (progress: Progress) => void,
): Promise<QuantizedWeights> {
  const { path, gguf } = await resolveModel(model);
  if (gguf) throw new ModelError(`"${model}" is a GGUF file; give the folder of a Hugging Face model.`);
  const config = await readObject(join(path, 'config.json'));
  if (config['quantization_config']) throw new ModelError(`"${model}" is quantised already; give a folder of plain weights.`);
  const target = resolve(out);
  if (await stat(join(target, 'config.json')).catch(() => null))
    throw new ModelError(`"${out}" holds a model already; give another folder, or remove it first.`);
  await mkdir(target, { recursive: true });
  for (const name of (await readdir(path)).filter(isCopied)) {
    // What an earlier run copied may be read-only, as its source is.
    await rm(join(target, name), { force: true });
    await copyFile(join(path, name), join(target, name));
  }
  const written = await addon.quantize({ folder: path, out: target, quantization }, onProgress);
  const form = { quant_method: 'gptq', ...FORMS[quantization], desc_act: false, sym: true, lm_head: false };
  const file = join(target, 'config.json');
  const text = JSON.stringify({ ...config, quantization_config: { ...form, checkpoint_format: 'gptq' } }, null, 2);
  await writeFile(`${file}.tmp`, `${text}\n`);
  await rename(`${file}.tmp`, file);
  return written;
}
