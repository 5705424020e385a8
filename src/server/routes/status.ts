// For supervisors and load balancers: no key needed.
import type { Engine } from '../../engine/types.ts';
import type { App } from '../context.ts';
import { closing, engineSilent } from '../errors.ts';
import type { ServerOptions } from '../options.ts';
import type { Work } from '../work.ts';

export function statusRoutes(app: App, engine: Engine, options: ServerOptions, work: Work): void {
  app.get('/health', async () => ({ status: 'ok' }));

  app.get('/ready', async () => {
    if (work.draining) throw closing();
    await answers(engine, options.readySeconds);
    return { status: 'ready' };
  });

  app.get('/version', async () => ({ version: options.version }));
}

/** The loop thread itself answers stats(): an answer proves that it lives. */
async function answers(engine: Engine, seconds: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(engineSilent(seconds)), seconds * 1000);
  });
  try {
    await Promise.race([engine.stats(), deadline]);
  } catch {
    throw engineSilent(seconds);
  } finally {
    clearTimeout(timer);
  }
}
