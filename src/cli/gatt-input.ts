// The two files of `gattling gatt`, read into a plan, and the settings that decide what comes of it.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { GattConfig } from '../config.ts';
import { parseDialogues } from '../gatt/dialogue.ts';
import { drawer } from '../gatt/draw.ts';
import { checkKinds, parseInstructions } from '../gatt/instruction.ts';
import type { Settings } from '../gatt/out.ts';
import { type Job, parseEnds, plan } from '../gatt/plan.ts';
import { TextError } from '../text/types.ts';

async function readText(flag: string, path: string): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path));
  } catch (error) {
    throw new TextError(`--${flag} ${path} must be a UTF-8 text that can be read: ${(error as Error).message}.`);
  }
}

export interface Input {
  jobs: Job[];
  /** What the content of the output depends on, but for the model. */
  settings: Settings;
}

export async function readInput(config: GattConfig): Promise<Input> {
  const { samples, combine, shortShare, earlierAnswers, place, keepCut, maxTokens, seed } = config;
  const ends = parseEnds(config.ends);
  const texts = {
    dialogues: await readText('dialogues', config.dialogues),
    instructions: await readText('instructions', config.instructions),
  };
  const dialogues = parseDialogues(texts.dialogues, config.dialogues);
  const instructions = parseInstructions(texts.instructions, config.instructions);
  if (combine > 0) checkKinds(instructions, config.instructions);
  const options = { samples, ends, combine, shortShare, earlierAnswers };
  const digest = (text: string) => createHash('sha256').update(text).digest('hex');
  return {
    jobs: plan(dialogues, instructions, options, drawer(seed), config.dialogues),
    settings: {
      dialogues: digest(texts.dialogues),
      instructions: digest(texts.instructions),
      samples,
      ends,
      combine,
      'short-share': shortShare,
      'earlier-answers': earlierAnswers,
      place,
      'keep-cut': keepCut,
      'max-tokens': maxTokens,
      temperature: config.temperature ?? null,
      'top-p': config.topP ?? null,
      seed,
    },
  };
}
