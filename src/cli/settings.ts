// Flags, environment, settings file and defaults become one frozen configuration; the earlier source wins.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { TObject } from 'typebox';
import { ConfigError } from '../config.ts';
import { type Field, fieldsOf, parseEnv, parseJson, parseText, type Settings } from './fields.ts';
import { nearest } from './nearest.ts';

type Values = Record<string, unknown>;
export type Environment = Readonly<Record<string, string | undefined>>;

/** Spelling of every flag: "--port", and "--no-port" for switches. */
function spellings(fields: readonly Field[]): Map<string, Field> {
  const known = new Map<string, Field>();
  for (const field of fields) {
    if (field.positional) continue;
    known.set(field.flag, field);
    if (field.type === 'boolean') known.set(`no-${field.flag}`, field);
  }
  return known;
}

interface OptionToken {
  name: string;
  rawName: string;
  value?: string | undefined;
  inlineValue?: boolean | undefined;
}

function flagText(field: Field, token: OptionToken): string {
  const { value, rawName } = token;
  // "--port --host x": the next flag is not a value. A value that begins with "-" is given as --flag=-value.
  if (value === undefined || (!token.inlineValue && /^-[^\d]/.test(value))) {
    throw new ConfigError(`${rawName} needs a value: ${rawName} ${field.placeholder ?? field.enum?.join('|')}.`);
  }
  return value;
}

function readFlag(values: Values, field: Field, token: OptionToken): void {
  if (field.type === 'boolean') {
    const negative = token.name !== field.flag;
    const value = token.value === undefined || parseText(field, token.value, token.rawName) === true;
    values[field.key] = value !== negative;
    return;
  }
  const value = parseText(field, flagText(field, token), token.rawName);
  values[field.key] = field.type === 'array' ? [...((values[field.key] as unknown[]) ?? []), value] : value;
}

function unknownFlag({ name, rawName }: OptionToken, known: readonly string[]): ConfigError {
  // --no-x is never corrected to its opposite.
  const alike = known.filter((flag) => flag.startsWith('no-') === name.startsWith('no-'));
  return new ConfigError(`Unknown flag ${rawName}; did you mean --${nearest(name, alike.length > 0 ? alike : known)}?`);
}

function fromFlags(fields: readonly Field[], argv: readonly string[]): Values {
  const known = spellings(fields);
  const options = Object.fromEntries(
    [...known].map(([name, { type }]) => [name, { type: type === 'boolean' ? ('boolean' as const) : ('string' as const) }]),
  );
  const { tokens } = parseArgs({ args: [...argv], options, strict: false, allowPositionals: true, tokens: true });
  const positionals = fields.filter((field) => field.positional);
  const values: Values = {};
  for (const token of tokens) {
    if (token.kind === 'option') {
      const field = known.get(token.name);
      if (!field) throw unknownFlag(token, [...known.keys()]);
      readFlag(values, field, token);
    } else if (token.kind === 'positional') {
      const positional = positionals.find(({ key }) => !(key in values));
      if (!positional) throw tooMany(token.value, positionals);
      values[positional.key] = parseText(positional, token.value, positional.placeholder ?? positional.flag);
    }
  }
  return values;
}

function tooMany(text: string, positionals: readonly Field[]): ConfigError {
  const names = positionals.map(({ placeholder }) => placeholder);
  const takes = names.length === 0 ? 'this command takes flags only' : `one ${names.join(' and one ')} is enough`;
  return new ConfigError(`"${text}" is one argument too many: ${takes}.`);
}

function fromEnvironment(fields: readonly Field[], env: Environment): Values {
  const values: Values = {};
  for (const field of fields) {
    const text = env[field.env];
    if (text !== undefined && text !== '') values[field.key] = parseEnv(field, text);
  }
  return values;
}

function readJson(path: string): Values {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new ConfigError(`--config ${path} must be a JSON file that can be read: ${(error as Error).message}.`);
  }
  if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return parsed as Values;
  throw new ConfigError(`--config ${path} must hold one JSON object, for example {"port": 8000}.`);
}

function fromFile(fields: readonly Field[], path: string): Values {
  const known = new Map(fields.filter(({ key }) => key !== 'config').map((field) => [field.flag, field]));
  const values: Values = {};
  for (const [name, value] of Object.entries(readJson(path))) {
    const field = known.get(name.replaceAll('_', '-'));
    if (!field)
      throw new ConfigError(`Unknown setting "${name}" in ${path}; did you mean "${nearest(name, [...known.keys()])}"?`);
    values[field.key] = parseJson(field, value, `"${name}" in ${path}`);
  }
  return values;
}

/** What the native code and its build read. */
const NATIVE_VARIABLES = ['GATTLING_CPU', 'GATTLING_CUDA'];

/** GATTLING_ variables that no command reads: most likely a slip of the pen, so worth a warning, but never an error. */
export function strayVariables(schemas: readonly TObject[], env: Environment): string[] {
  const known = [...NATIVE_VARIABLES, ...new Set(schemas.flatMap((schema) => fieldsOf(schema).map((field) => field.env)))];
  return Object.keys(env)
    .filter((name) => name.startsWith('GATTLING_') && !known.includes(name))
    .map((name) => `${name} is not a setting; did you mean ${nearest(name, known)}?`);
}

export function readSettings<Schema extends TObject>(
  schema: Schema,
  argv: readonly string[],
  env: Environment,
): Settings<Schema> {
  const fields = fieldsOf(schema);
  const given: Values = { ...fromEnvironment(fields, env), ...fromFlags(fields, argv) };
  const { config: path } = given;
  const file = typeof path === 'string' ? fromFile(fields, path) : {};
  const values: Values = { ...Object.fromEntries(fields.map(({ key, default: value }) => [key, value])), ...file, ...given };
  for (const { key, required, flag, placeholder, positional, env: variable } of fields) {
    if (values[key] !== undefined) continue;
    const spelled = positional ? placeholder : `--${flag} ${placeholder}`;
    if (required) throw new ConfigError(`${spelled} is missing (${variable} would do too).`);
    delete values[key];
  }
  return Object.freeze(values) as Settings<Schema>;
}
