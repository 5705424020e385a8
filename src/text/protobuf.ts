// Protocol Buffers wire format (protobuf.dev/programming-guides/encoding), reading only, for files that nobody vouches for.
import { TextError } from './types.ts';

export interface Field {
  number: number;
  /** Wire types 0 (varint), 1 (64 bits) and 5 (32 bits) are numbers; 2 is bytes. */
  value: number | Uint8Array;
}

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/** The fields of one message in file order; offsets in errors count from the message's own start. */
export function* fields(message: Uint8Array, what: string): Generator<Field> {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  let at = 0;

  /** Values past 2^53 lose low bits: nothing read here is that large. */
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = message[at++];
      if (byte === undefined) throw truncated();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new TextError(`${what} has a number longer than 10 bytes at offset ${at}; it is not a valid protobuf.`);
  };
  const take = (length: number): number => {
    if (length > message.length - at) throw truncated();
    at += length;
    return at - length;
  };
  const truncated = () =>
    new TextError(
      `${what} is cut short: a field begins before byte ${message.length} and ends after it; fetch the file again.`,
    );

  while (at < message.length) {
    const key = varint();
    const number = Math.floor(key / 8);
    const type = key % 8;
    if (type === VARINT) yield { number, value: varint() };
    else if (type === FIXED32) yield { number, value: view.getFloat32(take(4), true) };
    else if (type === FIXED64) yield { number, value: view.getFloat64(take(8), true) };
    else if (type === BYTES) {
      const length = varint();
      const start = take(length);
      yield { number, value: message.subarray(start, start + length) };
    } else throw new TextError(`${what} has a field of wire type ${type} at offset ${at}; it is not a valid protobuf.`);
  }
}
