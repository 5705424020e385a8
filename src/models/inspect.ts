// What a .gguf file says of itself, as rows of text. Strings of the file are quoted as JSON, so that a terminal obeys none of them.
import type { GgufFile, GgufTensor, GgufValue } from '../native/addon.ts';

const MAX_TEXT = 72;
const SHOWN = 4;

/** Key and value; of a list its length and its first. */
export function metadataRows({ metadata }: GgufFile): [string, string][] {
  return Object.entries(metadata).map(([key, value]) => [plain(key), shown(value)]);
}

/** Name, type, shape, bytes. */
export function tensorRows(tensors: readonly GgufTensor[], bytes: (n: number) => string): string[][] {
  return tensors.map((tensor) => [plain(tensor.name), tensor.type, tensor.shape.join(' x '), bytes(tensor.bytes)]);
}

export interface TypeTotal {
  type: string;
  tensors: number;
  bytes: number;
}

/** Of each type, the most bytes first. */
export function typeTotals(tensors: readonly GgufTensor[]): TypeTotal[] {
  const totals = new Map<string, TypeTotal>();
  for (const { type, bytes } of tensors) {
    const total = totals.get(type) ?? { type, tensors: 0, bytes: 0 };
    totals.set(type, { type, tensors: total.tensors + 1, bytes: total.bytes + bytes });
  }
  return [...totals.values()].sort((a, b) => b.bytes - a.bytes);
}

export const parameters = (tensors: readonly GgufTensor[]): number =>
  tensors.reduce((sum, { shape }) => sum + shape.reduce((product, extent) => product * extent, 1), 0);

function shown(value: GgufValue): string {
  if (typeof value === 'string') return quoted(value);
  if (typeof value !== 'object') return String(value);
  const first = Array.from<unknown>(value.slice(0, SHOWN)).map((entry) =>
    typeof entry === 'string' ? quoted(entry) : String(entry),
  );
  const rest = value.length > SHOWN ? ', ..' : '';
  return `${value.length} ${kindOf(value)}: ${first.join(', ')}${rest}`;
}

const kindOf = (value: object): string => (Array.isArray(value) ? 'strings' : 'numbers');

const quoted = (text: string): string => {
  const characters = [...text.slice(0, 2 * MAX_TEXT)];
  return escaped(JSON.stringify(characters.slice(0, MAX_TEXT).join(''))) + (characters.length > MAX_TEXT ? '..' : '');
};

/** A name as it is, unless it holds what a terminal would take for an order. */
const plain = (text: string): string => (/^[\x21-\x7e]+$/.test(text) ? text : escaped(JSON.stringify(text)));

/** JSON escapes C0 only: C1, separators and directions of writing are spelled out, too. */
const escaped = (json: string): string =>
  json.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${(c.codePointAt(0) as number).toString(16)}}`);
