// A tokenizer by table: id k has the bytes of pieces[k]; null is a special token.
import type { Prompt, Segment, Span, Tokenizer } from '../../../src/text/types.ts';

export type Piece = string | Uint8Array | null;

export class TableTokenizer implements Tokenizer {
  readonly vocabSize: number;
  readonly bosId: number | null;
  readonly eosId: number | null;
  readonly specialStrings: readonly string[];
  readonly stripsLeadingSpace: boolean;
  readonly #pieces: readonly Piece[];
  readonly #bytes: Uint8Array[];

  /** The first two special tokens are BOS and EOS. */
  constructor(pieces: readonly Piece[], stripsLeadingSpace = false) {
    this.#pieces = pieces;
    this.#bytes = pieces.map((piece) =>
      typeof piece === 'string' ? new TextEncoder().encode(piece) : (piece ?? new Uint8Array(0)),
    );
    const specials = pieces.flatMap((piece, id) => (piece === null ? [id] : []));
    this.vocabSize = pieces.length;
    this.bosId = specials[0] ?? null;
    this.eosId = specials[1] ?? null;
    this.specialStrings = specials.map((id) => `<${id}>`);
    this.stripsLeadingSpace = stripsLeadingSpace;
  }

  isSpecial(id: number): boolean {
    return this.#pieces[id] === null;
  }

  bytes(id: number): Uint8Array {
    return this.#bytes[id] ?? new Uint8Array(0);
  }

  spelling(id: number): string {
    return this.isSpecial(id) ? `<${id}>` : new TextDecoder().decode(this.bytes(id));
  }

  /** The longest piece first, among pieces that are strings. */
  async encode(text: string, addSpecial: boolean): Promise<Uint32Array> {
    const ids = addSpecial && this.bosId !== null ? [this.bosId] : [];
    for (let at = 0; at < text.length; ) {
      let best = -1;
      this.#pieces.forEach((piece, id) => {
        if (typeof piece !== 'string' || piece === '' || !text.startsWith(piece, at)) return;
        if (best < 0 || piece.length > (this.#pieces[best] as string).length) best = id;
      });
      if (best < 0) throw new Error(`No piece of the table begins "${text.slice(at)}"; add one.`);
      ids.push(best);
      at += (this.#pieces[best] as string).length;
    }
    return Uint32Array.from(ids);
  }

  async encodeMarkup(text: string): Promise<Uint32Array> {
    const parts = text.split(/(<\d+>)/);
    const segments = parts.map((part) => ({ text: part, control: this.specialStrings.includes(part), message: -1 }));
    return (await this.encodeSegments(segments)).ids;
  }

  async encodeSegments(segments: readonly Segment[]): Promise<Prompt> {
    const ids: number[] = [];
    const spans: Span[] = [];
    let textEnd = 0;
    for (const { text, control, message } of segments) {
      const start = ids.length;
      ids.push(...(control ? [Number(text.slice(1, -1))] : await this.encode(text, false)));
      textEnd += text.length;
      spans.push({ start, end: ids.length, message, textEnd });
    }
    return { ids: Uint32Array.from(ids), spans };
  }
}
