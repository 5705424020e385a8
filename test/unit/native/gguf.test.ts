// readGguf: what the package `gguf` wrote (test/fixtures/gguf/make.py), as JavaScript values.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { loadAddon } from '../../../src/native/addon.ts';

const { readGguf } = loadAddon();
const fixture = (name: string) => join(import.meta.dirname, '../../fixtures/gguf', name);

/** A version 3 file without tensors, of string fields. */
function strings(fields: [string, string][]): Buffer {
  const text = (value: string) => {
    const bytes = Buffer.from(value);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(bytes.length));
    return Buffer.concat([length, bytes]);
  };
  const header = Buffer.alloc(24);
  header.write('GGUF');
  header.writeUInt32LE(3, 4);
  header.writeBigUInt64LE(BigInt(fields.length), 16);
  const type = Buffer.from([8, 0, 0, 0]);
  return Buffer.concat([header, ...fields.flatMap(([key, value]) => [text(key), type, text(value)])]);
}

function written(bytes: Uint8Array): string {
  const folder = mkdtempSync(join(tmpdir(), 'gattling-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'm.gguf');
  writeFileSync(path, bytes);
  return path;
}

test('values of every type', () => {
  const { version, metadata } = readGguf(fixture('types.gguf'));
  expect(version).toBe(3);
  expect(metadata).toMatchObject({
    u8: 200,
    i8: -100,
    u16: 60000,
    i16: -30000,
    u32: 4000000000,
    i32: -2000000000,
    f32: Math.fround(0.1),
    f64: 0.1,
    u64: 2n ** 64n - 1n,
    i64: -(2n ** 63n),
    'u64.exact': 2 ** 53,
    bool: true,
    string: 'naïve 𝄞',
    'string.empty': '',
  });
  expect(metadata['strings']).toEqual(['a', '', '▁ha']);
  expect(metadata['bools']).toEqual(Uint8Array.of(1, 0, 1));
  expect(metadata['u8.array']).toEqual(Uint8Array.of(1, 255));
  expect(metadata['i8.array']).toEqual(Int8Array.of(-1, 2));
  expect(metadata['u16.array']).toEqual(Uint16Array.of(65535));
  expect(metadata['i16.array']).toEqual(Int16Array.of(-5));
  expect(metadata['u32.array']).toEqual(Uint32Array.of(4294967295));
  expect(metadata['i32.array']).toEqual(Int32Array.of(-7, 8));
  expect(metadata['f32.array']).toEqual(Float32Array.of(0.5, -2));
  expect(metadata['u64.array']).toEqual(BigUint64Array.of(2n ** 64n - 1n));
  expect(metadata['i64.array']).toEqual(BigInt64Array.of(-(2n ** 63n)));
  expect(metadata['f64.array']).toEqual(Float64Array.of(0.1));
});

test('tensors', () => {
  const { tensors } = readGguf(fixture('types.gguf'));
  expect(tensors).toHaveLength(26);
  expect(tensors[0]).toEqual({ name: 'q4_0', type: 'Q4_0', shape: [2, 256], bytes: 2 * 8 * 18 });
  expect(tensors.find(({ name }) => name === 'q6_k')).toEqual({ name: 'q6_k', type: 'Q6_K', shape: [2, 512], bytes: 840 });
  expect(tensors.find(({ name }) => name === 'bf16')).toEqual({ name: 'bf16', type: 'BF16', shape: [2, 40], bytes: 160 });
});

test('keys are only keys', () => {
  const { metadata, tensors } = readGguf(
    written(
      strings([
        ['__proto__', 'x'],
        ['toString', 'y'],
        ['a\0b', '\0'],
      ]),
    ),
  );
  expect(Object.keys(metadata)).toEqual(['__proto__', 'toString', 'a\0b']);
  expect(Object.getPrototypeOf(metadata)).toBeNull();
  expect(metadata['a\0b']).toBe('\0');
  expect(tensors).toEqual([]);
});

test('what is no GGUF file', () => {
  const whole = readFileSync(fixture('llama.gguf'));
  expect(() => readGguf(written(whole.subarray(0, 600)))).toThrow('m.gguf: ');
  expect(() => readGguf(written(Buffer.from('PK\x03\x04')))).toThrow('a GGUF file begins with "GGUF"');
  expect(() => readGguf('none.gguf')).toThrow('none.gguf cannot be opened: No such file or directory');
  expect(() => (readGguf as (path: unknown) => void)(7)).toThrow('path must be a string');
});
