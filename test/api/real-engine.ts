// The app over the native engine and a real model, on a real socket.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import pino from 'pino';
import { onTestFinished } from 'vitest';
import { createEngine, type TextEngine } from '../../src/engine/engine.ts';
import { resolveModel } from '../../src/models/resolve.ts';
import { type EngineOptions, loadAddon } from '../../src/native/addon.ts';
import { buildApp } from '../../src/server/app.ts';
import { serverDefaults } from '../../src/server/options.ts';
import { loadChatTemplate } from '../../src/text/chat-template.ts';
import { loadTokenizer } from '../../src/text/tokenizer.ts';

const root = resolve(import.meta.dirname, '../..');
export const fixture = (name: string) => join(root, 'test/fixtures/models', name);
/** Others' model; it lies beside the repository, or the tests that need it are skipped. */
export const stories = resolve(root, '../shared/refs/stories260K');
export const hasStories = existsSync(stories);

export interface RealServer {
  url: string;
  engine: TextEngine;
  post(path: string, body: object, signal?: AbortSignal): Promise<Response>;
}

export async function realServer(folder: string, fields: Partial<EngineOptions> = {}, template?: string): Promise<RealServer> {
  const { path, generation } = await resolveModel(folder);
  const options: EngineOptions = {
    model: path,
    device: 'cpu',
    dtype: 'auto',
    kvCacheDtype: 'auto',
    quantization: 'none',
    maxModelLen: 0,
    maxNumSeqs: 32,
    maxNumBatchedTokens: 0,
    blockSize: 0,
    kvCacheMemory: 0,
    threads: 0,
    gpuMemoryUtilization: 0,
    deterministic: false,
    enablePrefixCaching: true,
    ...fields,
  };
  const engine = await createEngine({
    addon: loadAddon(),
    options,
    tokenizer: await loadTokenizer(path),
    template: await loadChatTemplate(path, template ?? null),
    eosTokenIds: generation.eosIds,
    onProgress() {},
  });
  const server = { ...serverDefaults, modelNames: ['m'] as [string], created: 0, version: '0' };
  const app = buildApp({ engine, options: server, logger: pino({ level: 'silent' }) });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  onTestFinished(async () => {
    await app.close();
    await engine.close();
  });
  const headers = { 'content-type': 'application/json' };
  const post = (route: string, body: object, signal?: AbortSignal) =>
    fetch(`${url}${route}`, { method: 'POST', headers, body: JSON.stringify(body), ...(signal ? { signal } : {}) });
  return { url, engine, post };
}
