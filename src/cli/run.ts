// From argv to a command: which one, its settings, its help, and the one sentence of its failure.
import type { TObject } from 'typebox';
import {
  ChatConfig,
  ConvertConfig,
  GattConfig,
  InspectConfig,
  ListConfig,
  PullConfig,
  QuantizeConfig,
  RmConfig,
  ServeConfig,
  SynthConfig,
} from '../config.ts';
import type { Settings } from './fields.ts';
import { commandHelp, type HelpTopic, overview } from './help.ts';
import type { Io } from './io.ts';
import { type Environment, readSettings, strayVariables } from './settings.ts';
import { version } from './version.ts';

interface Command extends HelpTopic {
  /** Throws on wrong settings, before anything is started. */
  configure(argv: readonly string[], env: Environment): { logLevel: string; start(io: Io): Promise<number> };
}

type Run<Schema extends TObject> = (config: Settings<Schema>, io: Io) => Promise<number>;

/** `load` brings the command's code when it is needed: help and mistakes do not wait for the server's. */
function command<Schema extends TObject>(
  usage: string,
  summary: string,
  schema: Schema,
  load: () => Promise<Run<Schema>>,
): Command {
  return {
    usage,
    summary,
    schema,
    configure(argv, env) {
      const config = readSettings(schema, argv, env);
      const { logLevel } = config as { logLevel?: string };
      return { logLevel: logLevel ?? 'info', start: async (io) => (await load())(config, io) };
    },
  };
}

export const commands: Readonly<Record<string, Command>> = {
  serve: command(
    'gattling serve [MODEL] [flags]',
    'Serve a model over the OpenAI API. SIGTERM and Ctrl-C let running requests finish; a second one does not wait.',
    ServeConfig,
    async () => (await import('./serve.ts')).runServe,
  ),
  chat: command(
    'gattling chat [MODEL | --url URL] [flags]',
    'Talk with a model in the terminal. /reset begins a new conversation, /exit leaves, Ctrl-C stops an answer.',
    ChatConfig,
    async () => (await import('./chat.ts')).runChat,
  ),
  pull: command(
    'gattling pull NAME [flags]',
    'Fetch a model of the Hugging Face Hub, or what is new in it, into the cache, to be served by name. It goes on where an earlier one was cut.',
    PullConfig,
    async () => (await import('./pull.ts')).runPull,
  ),
  list: command(
    'gattling list [flags]',
    'List the models in the cache: name, revision, size, last used.',
    ListConfig,
    async () => (await import('./list.ts')).runList,
  ),
  rm: command(
    'gattling rm NAME [flags]',
    'Delete a model from the cache, but for what other revisions of it need. It asks before.',
    RmConfig,
    async () => (await import('./rm.ts')).runRm,
  ),
  inspect: command(
    'gattling inspect FILE [flags]',
    'Print what a .gguf file holds: metadata, tensors with types and sizes, and the memory that serving it takes.',
    InspectConfig,
    async () => (await import('./inspect.ts')).runInspect,
  ),
  convert: command(
    'gattling convert MODEL OUT [flags]',
    'Write a model folder as one .gguf file, which other programs read, too.',
    ConvertConfig,
    async () => (await import('./convert.ts')).runConvert,
  ),
  quantize: command(
    'gattling quantize MODEL OUT [flags]',
    "Write a model folder with its linear layers as integers in GPTQ's layout, and print what each loses.",
    QuantizeConfig,
    async () => (await import('./quantize.ts')).runQuantize,
  ),
  synth: command(
    'gattling synth --shape NAME|FILE --out DIR [flags]',
    'Write a model folder with random weights at a real shape, for benches and capacity planning.',
    SynthConfig,
    async () => (await import('./synth.ts')).runSynth,
  ),
  gatt: command(
    'gattling gatt --url URL --dialogues FILE --instructions FILE --out FILE [flags]',
    'Write the training data of Ghost Attention: dialogues whose instruction stands in the first turn and holds to the last, answered by a running server.',
    GattConfig,
    async () => (await import('./gatt.ts')).runGatt,
  ),
};

const schemas = Object.values(commands).map(({ schema }) => schema);

async function dispatch(name: string | null, argv: readonly string[], io: Io): Promise<number> {
  const chosen = commands[name ?? 'serve'] as Command;
  const asksHelp = argv.includes('--help') || argv.includes('-h');
  if (asksHelp || argv.includes('--version')) {
    const help = name === null && argv.length === 1 ? overview(Object.values(commands)) : commandHelp(chosen);
    io.stdout.write(asksHelp ? help : `${version()}\n`);
    return 0;
  }
  const { logLevel, start } = chosen.configure(argv, io.env);
  for (const warning of strayVariables(schemas, io.env)) io.stderr.write(`gattling: ${warning}\n`);
  try {
    return await start(io);
  } catch (error) {
    if (logLevel === 'debug' || logLevel === 'trace') io.stderr.write(`${(error as Error).stack}\n`);
    throw error;
  }
}

/** Whether the arguments ask for a server, which is what they mean when they name no command. */
export const isServer = ([first = '']: readonly string[]): boolean => first === 'serve' || !Object.hasOwn(commands, first);

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
