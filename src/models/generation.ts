// What a model says about generating with it: generation_config.json, and config.json where that says nothing.
import { join } from 'node:path';
import { ModelError, readObject } from './read.ts';

/** Values of requests that bring none; a key is there only if the model sets it. */
export interface SamplingDefaults {
  temperature?: number;
  topP?: number;
  topK?: number;
  minP?: number;
  repetitionPenalty?: number;
}

export interface Generation {
  /** Every id that ends an answer; empty when the model names none. */
  eosIds: number[];
  sampling: SamplingDefaults;
}

type Json = Record<string, unknown>;

function eosOf(config: Json, file: string): number[] | null {
  const { eos_token_id: value } = config;
  if (value === undefined || value === null) return null;
  const ids = Array.isArray(value) ? value : [value];
  if (ids.every((id) => Number.isInteger(id) && id >= 0)) return ids as number[];
  throw new ModelError(`${file} must have a token id or a list of them as "eos_token_id", not ${JSON.stringify(value)}.`);
}

interface Range {
  key: keyof SamplingDefaults;
  fits: (value: number) => boolean;
  form: string;
}

const RANGES: Readonly<Record<string, Range>> = {
  temperature: { key: 'temperature', fits: (value) => value >= 0 && value <= 2, form: 'a number from 0 to 2' },
  top_p: { key: 'topP', fits: (value) => value > 0 && value <= 1, form: 'a number above 0, at most 1' },
  // transformers writes 0 for "off", vLLM -1.
  top_k: { key: 'topK', fits: (value) => Number.isInteger(value) && value >= -1, form: 'a whole number, 0 for off' },
  min_p: { key: 'minP', fits: (value) => value >= 0 && value <= 1, form: 'a number from 0 to 1' },
  repetition_penalty: { key: 'repetitionPenalty', fits: (value) => value > 0 && value <= 100, form: 'a number above 0' },
};

/** As vLLM: what the file sets holds whether or not do_sample is true. */
function samplingOf(config: Json, file: string): SamplingDefaults {
  const sampling: SamplingDefaults = {};
  for (const [name, { key, fits, form }] of Object.entries(RANGES)) {
    const value = config[name];
    if (value === undefined || value === null) continue;
    if (typeof value !== 'number' || !fits(value)) {
      throw new ModelError(`${file} must have ${form} as "${name}", not ${JSON.stringify(value)}.`);
    }
    sampling[key] = Math.max(value, 0);
  }
  return sampling;
}

export async function readGeneration(path: string, files: ReadonlySet<string>): Promise<Generation> {
  const configFile = join(path, 'config.json');
  const generationFile = join(path, 'generation_config.json');
  const config = await readObject(configFile);
  const generation = files.has('generation_config.json') ? await readObject(generationFile) : {};
  const eosIds = eosOf(generation, generationFile) ?? eosOf(config, configFile) ?? [];
  return { eosIds, sampling: samplingOf(generation, generationFile) };
}
