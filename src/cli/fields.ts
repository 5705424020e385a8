// What the schemas of config.ts say about one setting, and a value's way from text or JSON into its type.
import type { Static, TObject } from 'typebox';
import { ConfigError } from '../config.ts';

/** One setting: the JSON Schema keywords that config.ts uses, and its names. */
export interface Field {
  key: string;
  /** "max-num-seqs" */
  flag: string;
  /** "GATTLING_MAX_NUM_SEQS" */
  env: string;
  required: boolean;
  type?: 'string' | 'integer' | 'number' | 'boolean' | 'array';
  enum?: readonly string[];
  format?: 'bytes';
  minimum?: number;
  maximum?: number;
  multipleOf?: number;
  default?: unknown;
  description: string;
  placeholder?: string;
  positional?: boolean;
}

export function fieldsOf(schema: TObject): Field[] {
  return Object.entries(schema.properties).map(([key, property]) => {
    const flag = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    const env = `GATTLING_${flag.replaceAll('-', '_').toUpperCase()}`;
    return { ...(property as object), key, flag, env, required: schema.required.includes(key) } as Field;
  });
}

export type Settings<Schema extends TObject> = Readonly<Static<Schema>>;

const UNITS: Record<string, number> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

function parseBytes(text: string): number {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim()) ?? [];
  const factor = UNITS[unit?.toLowerCase() ?? 'none'];
  return amount === undefined || factor === undefined ? Number.NaN : Math.round(Number(amount) * factor);
}

function range({ minimum, maximum, multipleOf }: Field): string {
  const multiple = multipleOf === undefined ? '' : `, a multiple of ${multipleOf}`;
  if (minimum !== undefined && maximum !== undefined && maximum < 2 ** 31 - 1)
    return ` from ${minimum} to ${maximum}${multiple}`;
  return minimum === undefined ? multiple : ` of at least ${minimum}${multiple}`;
}

/** The right form of a value, to stand after "must be". */
function form(field: Field): string {
  if (field.enum) return `one of ${field.enum.join(', ')}`;
  if (field.format === 'bytes') return 'a size such as 2GiB, 512MiB or 1500000000';
  if (field.type === 'integer') return `a whole number${range(field)}`;
  if (field.type === 'number') return `a number${range(field)}`;
  if (field.type === 'boolean') return 'true or false';
  return 'a text that is not empty';
}

function inRange(value: number, { type, minimum, maximum, multipleOf }: Field): boolean {
  if (type === 'integer' ? !Number.isSafeInteger(value) : !Number.isFinite(value)) return false;
  if (minimum !== undefined && value < minimum) return false;
  if (maximum !== undefined && value > maximum) return false;
  return multipleOf === undefined || value % multipleOf === 0;
}

/** undefined when the text is not of the field's form. */
function fromText(field: Field, text: string): unknown {
  if (field.enum) return field.enum.includes(text) ? text : undefined;
  if (field.type === 'boolean') return { true: true, '1': true, false: false, '0': false }[text];
  if (field.type === 'integer' || field.type === 'number') {
    const decimal = field.type === 'integer' ? /^\d+$/ : /^-?\d+(\.\d+)?$/;
    const value = field.format === 'bytes' ? parseBytes(text) : decimal.test(text) ? Number(text) : Number.NaN;
    return inRange(value, field) ? value : undefined;
  }
  return text === '' ? undefined : text;
}

/** `name` is how the user wrote the setting: --port, GATTLING_PORT or "port" in FILE. */
export function parseText(field: Field, text: string, name: string): unknown {
  const value = fromText(field, text);
  if (value === undefined) throw new ConfigError(`${name} must be ${form(field)}, not "${text}".`);
  return value;
}

/** The environment has one text per setting: lists are separated by commas. */
export function parseEnv(field: Field, text: string): unknown {
  if (field.type !== 'array') return parseText(field, text, field.env);
  const items = text.split(',').map((item) => item.trim());
  return items.map((item) => parseText(field, item, `Each item of ${field.env}`));
}

/** A JSON value: numbers and booleans as they are, and whatever a flag would take as a string. */
export function parseJson(field: Field, value: unknown, name: string): unknown {
  if (field.type === 'array') {
    const items = Array.isArray(value) ? value : [value];
    return items.map((item) => {
      if (typeof item === 'string') return parseText(field, item, `Each item of ${name}`);
      throw new ConfigError(`${name} must be a list of texts, not ${JSON.stringify(value)}.`);
    });
  }
  if (typeof value === 'string') return parseText(field, value, name);
  if (typeof value === 'boolean' && field.type === 'boolean') return value;
  if (typeof value === 'number' && (field.type === 'integer' || field.type === 'number') && inRange(value, field)) return value;
  throw new ConfigError(`${name} must be ${form(field)}, not ${JSON.stringify(value)}.`);
}
