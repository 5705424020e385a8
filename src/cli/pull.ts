import type { PullConfig } from '../config.ts';
import { findModel } from '../hub/find.ts';
import { titleOf } from '../hub/name.ts';
import { pull } from '../hub/pull.ts';
import { hubSettings } from '../hub/settings.ts';
import { hubName, interruptible } from './hub.ts';
import type { Io } from './io.ts';
import { progressView } from './progress.ts';

export async function runPull(config: PullConfig, io: Io): Promise<number> {
  const name = hubName(config.name);
  const settings = hubSettings(io.env);
  const progress = progressView(io.stderr, (text) => io.stderr.write(`${text}\n`));
  let path: string;
  try {
    path = await interruptible(io, async (signal) => {
      if (settings.offline) return findModel(name, settings, signal, progress.step);
      return (await pull(name, settings, signal, progress.step)).path;
    });
  } finally {
    progress.clear();
  }
  const revision = name.revision === null ? '' : `@${name.revision}`;
  io.stdout.write(`${path}\nserve it with: gattling serve ${titleOf(name)}${revision}\n`);
  return 0;
}
