// From argv to a command: which one, its settings, its help, and the one sentence of its failure.
import type { TObject } from 'typebox';
import { ChatConfig, ServeConfig, SynthConfig } from '../config.ts';
import { chatTopic, runChat } from './chat.ts';
import type { Settings } from './fields.ts';
import { commandHelp, type HelpTopic, overview } from './help.ts';
import type { Io } from './io.ts';
import { runServe, serveTopic } from './serve.ts';
import { type Environment, readSettings, strayVariables } from './settings.ts';
import { runSynth, synthTopic } from './synth.ts';
import { version } from './version.ts';

interface Command extends HelpTopic {
  /** Throws on wrong settings, before anything is started. */
  configure(argv: readonly string[], env: Environment): { logLevel: string; start(io: Io): Promise<number> };
}

function command<Schema extends TObject>(
  topic: Omit<HelpTopic, 'schema'> & { schema: Schema },
  run: (config: Settings<Schema>, io: Io) => Promise<number>,
): Command {
  return {
    ...topic,
    configure(argv, env) {
      const config = readSettings(topic.schema, argv, env);
      return { logLevel: String((config as { logLevel?: string }).logLevel), start: (io) => run(config, io) };
    },
  };
}

const commands: Readonly<Record<string, Command>> = {
  serve: command(serveTopic, runServe),
  chat: command(chatTopic, runChat),
  synth: command(synthTopic, runSynth),
};

async function dispatch(name: string | null, argv: readonly string[], io: Io): Promise<number> {
  const chosen = commands[name ?? 'serve'] as Command;
  const asksHelp = argv.includes('--help') || argv.includes('-h');
  if (asksHelp || argv.includes('--version')) {
    const help = name === null && argv.length === 1 ? overview(Object.values(commands)) : commandHelp(chosen);
    io.stdout.write(asksHelp ? help : `${version()}\n`);
    return 0;
  }
  const { logLevel, start } = chosen.configure(argv, io.env);
  for (const warning of strayVariables([ServeConfig, ChatConfig, SynthConfig], io.env))
    io.stderr.write(`gattling: ${warning}\n`);
  try {
    return await start(io);
  } catch (error) {
    if (logLevel === 'debug' || logLevel === 'trace') io.stderr.write(`${(error as Error).stack}\n`);
    throw error;
  }
}

/** Resolves to the exit code; a failure is one sentence on stderr and 1. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const [first = ''] = argv;
  try {
    return Object.hasOwn(commands, first) ? await dispatch(first, argv.slice(1), io) : await dispatch(null, argv, io);
  } catch (error) {
    io.stderr.write(`gattling: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}
