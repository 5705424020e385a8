// From settings to a running engine, and the memory plan that comes out of it: the same for serve and chat.
import type { ChatConfig, ServeConfig } from '../config.ts';
import { createEngine, type TextEngine } from '../engine/engine.ts';
import { DEMO_MODEL, locateModel, type ModelFolder, resolveModel } from '../models/resolve.ts';
import { type EngineInfo, type EngineOptions, loadAddon } from '../native/addon.ts';
import { ggufChatTemplate, loadChatTemplate } from '../text/chat-template.ts';
import { ggufTokenizer, loadTokenizer } from '../text/tokenizer.ts';
import { fetchModel } from './hub.ts';
import type { Io } from './io.ts';
import type { ProgressView } from './progress.ts';
import { formatBytes, formatCount } from './units.ts';

export interface Loaded {
  folder: ModelFolder;
  engine: TextEngine;
}

type EngineConfig = ServeConfig | ChatConfig;

export function engineOptions(config: Omit<EngineOptions, 'model' | 'fake'>, model: string): EngineOptions {
  const { device, dtype, kvCacheDtype, quantization, maxModelLen, maxNumSeqs, maxNumBatchedTokens, blockSize } = config;
  const { kvCacheMemory, threads, gpuMemoryUtilization, deterministic, enablePrefixCaching } = config;
  return {
    model,
    device,
    dtype,
    kvCacheDtype,
    quantization,
    maxModelLen,
    maxNumSeqs,
    maxNumBatchedTokens,
    blockSize,
    kvCacheMemory,
    threads,
    gpuMemoryUtilization,
    deterministic,
    enablePrefixCaching,
  };
}

async function loadText({ path, gguf }: ModelFolder, template: string | null) {
  if (gguf === undefined) return { tokenizer: await loadTokenizer(path), template: await loadChatTemplate(path, template) };
  const { metadata } = gguf;
  return { tokenizer: await ggufTokenizer(metadata, path), template: await ggufChatTemplate(metadata, path, template) };
}

export async function load(config: EngineConfig, progress: ProgressView, io: Io): Promise<Loaded> {
  const { path, name } = await locateModel(config.model ?? DEMO_MODEL, (wanted) => fetchModel(wanted, progress, io));
  const folder = await resolveModel(path, name);
  const { tokenizer, template } = await loadText(folder, config.chatTemplate ?? null);
  const addon = loadAddon();
  const options = engineOptions(config, folder.path);
  try {
    const eosTokenIds = folder.generation.eosIds;
    const engine = await createEngine({ addon, options, tokenizer, template, eosTokenIds, onProgress: progress.step });
    return { folder, engine };
  } finally {
    progress.clear();
  }
}

/** Lines that say what the model takes and what is left for requests; of a model that is loaded, or planned only. */
export function memoryPlan(info: EngineInfo): string[] {
  const tokens = info.numBlocks * info.blockSize;
  const sequences = Math.floor(tokens / info.maxModelLen);
  const { architecture, device, unit, threads, dtype } = info;
  const weights = info.quantization === 'none' ? 'weights' : `${info.quantization} weights`;
  const computes = device === 'cpu' ? `${unit}, ${threads} threads` : unit;
  const loaded = info.loadMilliseconds > 0 ? `, loaded in ${formatCount(Math.round(info.loadMilliseconds))} ms` : '';
  return [
    `${architecture} on ${device} (${computes}), ${dtype}${loaded}`,
    `${weights} ${formatBytes(info.weightBytes)}, KV cache ${formatBytes(info.kvBytes)} (${info.kvCacheDtype}, ${formatBytes(info.kvBytesPerToken)} a token)`,
    `the KV cache holds ${formatCount(tokens)} tokens: ${formatCount(sequences)} full-length sequences of ${formatCount(info.maxModelLen)}`,
  ];
}
