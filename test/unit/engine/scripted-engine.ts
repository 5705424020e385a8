// An engine over a native side whose tokens a script decides, and what its generations yield.
import { createEngine, type TextEngine } from '../../../src/engine/engine.ts';
import type { Delta, GenerateRequest } from '../../../src/engine/types.ts';
import { type FakeNative, type FakeScript, fakeAddon, fakeLogprob } from './fake-native.ts';
import { OPTIONS, request as requestOf } from './fixtures.ts';
import { type Piece, TableTokenizer } from './table-tokenizer.ts';

export const BOS = 0;
export const EOS = 1;
/** Ids 2.. are the letters a-z; then the three bytes of 你, a piece with a leading space, and one more special token. */
export const LETTERS = [...'abcdefghijklmnopqrstuvwxyz'];
export const PIECES: Piece[] = [
  null,
  null,
  ...LETTERS,
  ...[0xe4, 0xbd, 0xa0].map((byte) => Uint8Array.of(byte)),
  ' once',
  null,
];
export const letter = (name: string): number => 2 + LETTERS.indexOf(name);
export const [BYTE1, BYTE2, BYTE3, ONCE, PAD] = [28, 29, 30, 31, 32] as const;

export const request = (fields: Partial<GenerateRequest> = {}): GenerateRequest =>
  requestOf({ tokens: Uint32Array.of(BOS, letter('a')), ...fields });

export async function setUp(
  script: Partial<FakeScript> | readonly number[],
): Promise<{ engine: TextEngine; native: FakeNative }> {
  const alphabet = (_: unknown, position: number): number => 2 + (position % 26);
  const scripted = (list: readonly number[]): FakeScript => ({ token: (_, position) => list[position] ?? EOS });
  const addon = fakeAddon(Array.isArray(script) ? scripted(script) : { token: alphabet, ...(script as Partial<FakeScript>) });
  const tokenizer = new TableTokenizer(PIECES, true);
  const engine = await createEngine({
    addon,
    options: OPTIONS,
    tokenizer,
    template: null,
    eosTokenIds: [EOS],
    onProgress() {},
  });
  return { engine, native: addon.native() };
}

export const never = new AbortController().signal;

/** A generation with its first next() under way: submitted, nothing come yet. */
export function begin(engine: TextEngine, fields: Partial<GenerateRequest> = {}, signal: AbortSignal = never) {
  const iterator = engine.generate(request(fields), signal)[Symbol.asyncIterator]();
  return { iterator, first: iterator.next() };
}

export const finish = (fields: Partial<NonNullable<Delta['finish']>> = {}): Delta['finish'] => ({
  reason: 'stop',
  promptTokens: 2,
  completionTokens: 0,
  cachedTokens: 0,
  ...fields,
});

export const delta = (fields: Partial<Delta>): IteratorResult<Delta> => ({
  done: false,
  value: { text: '', logprobs: [], promptLogprobs: null, finish: null, ...fields },
});

export const scored = (id: number, numTop: number) => ({
  id,
  logprob: fakeLogprob(id),
  top: Array.from({ length: numTop }, (_, k) => ({ id: id + 1 + k, logprob: fakeLogprob(id + 1 + k) })),
});
