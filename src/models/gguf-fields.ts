// Metadata of a GGUF file as its bytes (ggml-org/ggml, docs/gguf.md, "gguf_metadata_kv_t").

/** The format's numbers of the types that are written. */
const Type = { uint8: 0, uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, array: 9 } as const;

export type GgufFieldValue = string | number | boolean | readonly string[] | Uint8Array | Int32Array | Float32Array;

/** A number is written as uint32. */
export function ggufFields(metadata: Readonly<Record<string, GgufFieldValue>>): Buffer {
  return Buffer.concat(Object.entries(metadata).flatMap(([key, value]) => [...text(key), ...field(value)]));
}

function field(value: GgufFieldValue): Buffer[] {
  if (typeof value === 'string') return [uint32(Type.string), ...text(value)];
  if (typeof value === 'boolean') return [uint32(Type.bool), Buffer.of(value ? 1 : 0)];
  if (typeof value === 'number') return [uint32(Type.uint32), uint32(value)];
  if (value instanceof Uint8Array) return array(Type.uint8, value.length, [Buffer.from(value)]);
  if (value instanceof Int32Array) return array(Type.int32, value.length, [bytesOf(value)]);
  if (value instanceof Float32Array) return array(Type.float32, value.length, [bytesOf(value)]);
  return array(Type.string, value.length, value.flatMap(text));
}

const array = (type: number, length: number, elements: Buffer[]): Buffer[] => [
  uint32(Type.array),
  uint32(type),
  uint64(length),
  ...elements,
];

/** Little-endian, as every platform that Node runs on here. */
const bytesOf = ({ buffer, byteOffset, byteLength }: Int32Array | Float32Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

function text(value: string): Buffer[] {
  const bytes = Buffer.from(value);
  return [uint64(bytes.length), bytes];
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
