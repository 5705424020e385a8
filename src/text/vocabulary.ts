// Ids to bytes: a table built once from the vocabulary, since a token's bytes do not depend on its neighbours.
import { byteOfPiece, type Stage, stagesOf, type TokenizerJson } from './tokenizer-json.ts';
import { TextError } from './types.ts';

const NOTHING = new Uint8Array(0);
const encoder = new TextEncoder();

export class Vocabulary {
  /** One more than the largest id. */
  readonly size: number;
  /** Detokenising drops one leading space. */
  readonly stripsLeadingSpace: boolean;
  readonly #bytes: Uint8Array[] = [];
  /** Spellings of control tokens, by id. */
  readonly #control = new Map<number, string>();
  readonly #ids = new Map<string, number>();

  constructor(json: TokenizerJson, what: string) {
    const toBytes = decoderOf(json, what);
    const pieces = Object.entries(json.model.vocab);
    let last = -1;
    for (const [, id] of pieces) last = Math.max(last, id);
    for (const { id } of json.added_tokens) last = Math.max(last, id);
    this.size = last + 1;
    for (const [piece, id] of pieces) {
      this.#ids.set(piece, id);
      this.#bytes[id] = toBytes(piece);
    }
    const isSentencePiece = toBytes === pieceBytes;
    for (const { id, content, special } of json.added_tokens) {
      this.#ids.set(content, id);
      this.#bytes[id] = special ? NOTHING : isSentencePiece ? pieceBytes(content) : encoder.encode(content);
      if (special) this.#control.set(id, content);
    }
    this.stripsLeadingSpace = isSentencePiece && stripsSpace(json.decoder);
  }

  idOf(spelling: string): number | undefined {
    return this.#ids.get(spelling);
  }

  isSpecial(id: number): boolean {
    return this.#control.has(id);
  }

  bytes(id: number): Uint8Array {
    return this.#bytes[id] ?? NOTHING;
  }

  spelling(id: number): string {
    return this.#control.get(id) ?? Buffer.from(this.bytes(id)).toString('utf8');
  }
}

/** The two alphabets of the Llama family, told apart by how their files say text is put together again. */
function decoderOf({ decoder, pre_tokenizer, model }: TokenizerJson, what: string): (piece: string) => Uint8Array {
  if (stagesOf(decoder).some(({ type }) => type === 'ByteFallback' || type === 'Metaspace') || model.byte_fallback)
    return pieceBytes;
  if ([...stagesOf(decoder), ...stagesOf(pre_tokenizer)].some(({ type }) => type === 'ByteLevel')) return byteLevelBytes;
  throw new TextError(
    `${what} has a decoder of an unknown kind (${decoder?.type ?? 'none'}); SentencePiece's (Metaspace or ByteFallback) and GPT-2's (ByteLevel) are known.`,
  );
}

function stripsSpace(decoder: Stage | null): boolean {
  return stagesOf(decoder).some((stage) => {
    if (stage.type === 'Strip') return stage['content'] === ' ' && Number(stage['start']) > 0;
    return stage.type === 'Metaspace' && stage['prepend_scheme'] !== 'never' && stage['add_prefix_space'] !== false;
  });
}

/** SentencePiece: "▁" is a space, "<0xNN>" a byte. */
function pieceBytes(piece: string): Uint8Array {
  const byte = byteOfPiece(piece);
  return byte >= 0 ? Uint8Array.of(byte) : encoder.encode(piece.replaceAll('▁', ' '));
}

/** A piece outside the alphabet stands for itself, as in Hugging Face's decoder. */
function byteLevelBytes(piece: string): Uint8Array {
  const bytes = new Uint8Array(piece.length);
  for (let i = 0; i < piece.length; i++) {
    const byte = BYTE_OF.get(piece.charCodeAt(i));
    if (byte === undefined) return encoder.encode(piece);
    bytes[i] = byte;
  }
  return bytes;
}

/** GPT-2's alphabet (bytes_to_unicode of openai/gpt-2): printable Latin-1 stands for itself, other bytes for U+0100 and up. */
const BYTE_OF = new Map<number, number>();
for (let byte = 0, next = 0x100; byte < 0x100; byte++) {
  const printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  BYTE_OF.set(printable ? byte : next++, byte);
}
