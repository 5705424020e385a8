import type { ServeConfig } from '../config.ts';
import { buildApp } from '../server/app.ts';
import { type ServerOptions, serverDefaults } from '../server/options.ts';
import type { Io } from './io.ts';
import { checkExposure, listenError, probe } from './listen.ts';
import { type Loaded, load, memoryPlan } from './load.ts';
import { createLogger } from './log.ts';
import { progressView } from './progress.ts';
import { untilStopped } from './shutdown.ts';
import { version } from './version.ts';

function serverOptions(config: ServeConfig, { folder }: Loaded): ServerOptions {
  const [first = folder.name, ...others] = config.servedModelName;
  return {
    ...serverDefaults,
    modelNames: [first, ...others],
    apiKeys: config.apiKey,
    created: Math.floor(Date.now() / 1000),
    defaults: { ...folder.generation.sampling, ...(config.seed === undefined ? {} : { seed: config.seed }) },
    chat: { systemMode: config.systemMode, strictMessages: config.strictMessages, templateTags: config.templateTags },
    version: version(),
    rateLimit: config.rateLimit === 0 ? null : config.rateLimit,
  };
}

export async function runServe(config: ServeConfig, io: Io): Promise<number> {
  checkExposure(config);
  const { host, port } = config;
  await probe(host, port);
  const logger = createLogger(config.logLevel, io.stdout);
  const say = (text: string) => logger.info(text);
  const loaded = await load(config, progressView(io.stderr, say), io);
  const { engine } = loaded;
  try {
    const app = buildApp({ engine, options: serverOptions(config, loaded), logger });
    for (const line of memoryPlan(engine.info)) say(line);
    const listenTextResolver = (address: string) => `listening on ${address}`;
    await app.listen({ host, port, listenTextResolver }).catch((error: Error) => {
      throw listenError(error, host, port);
    });
    const complete = await untilStopped(io, (signal) => {
      say(`${signal}: finishing running requests`);
      return app.close();
    });
    say(complete ? 'stopped' : 'stopped at once');
  } finally {
    await engine.close();
  }
  return 0;
}
