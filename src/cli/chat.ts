import type { ChatConfig } from '../config.ts';
import { type Answerer, engineAnswerer, serverAnswerer } from './answerers.ts';
import type { Io } from './io.ts';
import { load, memoryPlan } from './load.ts';
import { progressView } from './progress.ts';
import { converse } from './repl.ts';

async function localAnswerer(config: ChatConfig, io: Io): Promise<Answerer> {
  const verbose = ['trace', 'debug', 'info'].includes(config.logLevel);
  const say = (text: string) => verbose && io.stderr.write(`${text}\n`);
  const { engine, folder } = await load(config, progressView(io.stderr, say), io);
  memoryPlan(engine.info).forEach(say);
  try {
    // A model without a template says so now, not after the first line.
    await engine.prepareChat({ messages: [{ role: 'user', content: 'Hello' }], addGenerationPrompt: true });
  } catch (error) {
    await engine.close();
    throw error;
  }
  return engineAnswerer(engine, config, folder.generation.sampling);
}

export async function runChat(config: ChatConfig, io: Io): Promise<number> {
  const { url } = config;
  const answerer = url !== undefined ? await serverAnswerer({ ...config, url }) : await localAnswerer(config, io);
  try {
    return await converse(answerer, io, config.system);
  } finally {
    await answerer.close();
  }
}
