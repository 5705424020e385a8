import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Detokenizer, decode, isTextless, Pieces } from '../../../src/engine/detokenizer.ts';
import { PieceType, parseSentencePiece } from '../../../src/text/sentencepiece.ts';
import { type Piece, TableTokenizer } from './table-tokenizer.ts';

const FOLDER = '../shared/refs/stories260K';
const present = existsSync(FOLDER);

function readPieces(file: string): Piece[] {
  return parseSentencePiece(readFileSync(file), file).pieces.map(({ text, type }) => {
    if (type === PieceType.control) return null;
    if (type === PieceType.byte) return Uint8Array.of(Number.parseInt(text.slice(1, -1), 16));
    return text.replaceAll('\u2581', ' ');
  });
}

interface Case {
  prompt: string;
  prompt_ids: number[];
  generated_ids: number[];
  full_text: string;
}

describe.skipIf(!present)(`the reference texts of ${FOLDER}${present ? '' : ' (absent: skipped)'}`, () => {
  const tokenizer = present ? new TableTokenizer(readPieces(`${FOLDER}/tokenizer.model`), true) : new TableTokenizer([]);
  const cases: Case[] = present ? JSON.parse(readFileSync(`${FOLDER}/reference_greedy.json`, 'utf8')).cases : [];
  const pieces = new Pieces(tokenizer);

  it.each(cases)('continue "$prompt" with the space that belongs there', ({ prompt, prompt_ids, generated_ids, full_text }) => {
    const ids = Uint32Array.from(prompt_ids);
    const detokenizer = new Detokenizer(pieces, isTextless(ids, tokenizer));
    const completion = generated_ids.map((id) => detokenizer.push(id)).join('') + detokenizer.flush();
    expect(decode(ids, pieces)).toBe(prompt);
    expect(prompt + completion).toBe(full_text);
    expect(decode(Uint32Array.from([...prompt_ids, ...generated_ids]), pieces)).toBe(full_text);
  });
});
