// The server of bench/http.ts, in its own process: the whole HTTP layer over a paced fake model. Answers 'cpu' with its CPU
// time in microseconds.
import { pino } from 'pino';
import { createEngine } from '../src/engine/engine.ts';
import { loadAddon } from '../src/native/addon.ts';
import { buildApp } from '../src/server/app.ts';
import { serverDefaults } from '../src/server/options.ts';
import { TableTokenizer } from '../test/unit/engine/table-tokenizer.ts';
import { fakeEngineOptions } from './fake-engine.ts';

const [stepMicroseconds = '0'] = process.argv.slice(2);
const VOCAB = 2000;
const pieces = [null, null, ...Array.from({ length: VOCAB - 2 }, (_, k) => ` w${k}`)];

const engine = await createEngine({
  addon: loadAddon(),
  options: fakeEngineOptions({
    vocabSize: VOCAB,
    stepMicroseconds: Number(stepMicroseconds),
    maxModelLen: 8192,
    asynchronous: true,
  }),
  tokenizer: new TableTokenizer(pieces),
  template: null,
  eosTokenIds: [],
  onProgress() {},
});
const options = { ...serverDefaults, modelNames: ['fake'] as [string], created: 0, version: 'bench' };
const app = buildApp({ engine, options, logger: pino({ level: 'silent' }) });
const address = await app.listen({ host: '127.0.0.1', port: 0 });

process.on('message', async (message) => {
  if (message === 'cpu') {
    const { user, system } = process.cpuUsage();
    process.send?.(user + system);
  } else {
    await app.close();
    await engine.close();
    process.disconnect();
  }
});
process.send?.(address);
