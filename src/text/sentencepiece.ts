// Reads a SentencePiece model (sentencepiece_model.proto of google/sentencepiece): pieces, special ids and normalisation.
import { type Field, fields } from './protobuf.ts';
import { TextError } from './types.ts';

/** SentencePiece.Type of the proto. */
export const PieceType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

export interface Piece {
  text: string;
  /** BPE: higher merges first. */
  score: number;
  type: number;
}

export interface SentencePieceModel {
  /** Index is id. */
  pieces: Piece[];
  byteFallback: boolean;
  unkId: number;
  /** -1: the model has none. */
  bosId: number;
  eosId: number;
  addDummyPrefix: boolean;
  removeExtraWhitespaces: boolean;
  /** A compiled table of character replacements; empty for the identity. */
  charsMap: Uint8Array;
}

const MAX_FILE_BYTES = 64 * 2 ** 20;
export const MAX_PIECES = 2 ** 20;
/** The trainer's limit is 16 characters unless raised; deriving merges is quadratic in this. */
const MAX_PIECE_BYTES = 256;
const BPE = 2;
const MODEL_TYPES: Record<number, string> = { 1: 'unigram', 3: 'word', 4: 'char' };

// A byte-order mark is a character here: Llama 2 has a piece that is one.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** `what` names the file in errors. */
export function parseSentencePiece(file: Uint8Array, what: string): SentencePieceModel {
  if (file.length > MAX_FILE_BYTES) {
    throw new TextError(`${what} has ${file.length} bytes; a SentencePiece model has at most ${MAX_FILE_BYTES}.`);
  }
  const model: SentencePieceModel = {
    pieces: [],
    byteFallback: false,
    unkId: 0,
    bosId: 1,
    eosId: 2,
    addDummyPrefix: true,
    removeExtraWhitespaces: true,
    charsMap: new Uint8Array(0),
  };
  let modelType: number | null = null;
  let isNormalizerThere = false;
  for (const field of fields(file, what)) {
    if (field.number === 1) {
      if (model.pieces.length === MAX_PIECES)
        throw new TextError(`${what} has more than ${MAX_PIECES} pieces, the most that are read.`);
      model.pieces.push(readPiece(bytesOf(field, what), `${what}: piece ${model.pieces.length}`));
    } else if (field.number === 2) modelType = readTrainer(model, bytesOf(field, what), what);
    else if (field.number === 3) {
      readNormalizer(model, bytesOf(field, what), what);
      isNormalizerThere = true;
    }
  }
  // Trainers write both; a file cut between two fields would be read with defaults otherwise.
  if (modelType === null)
    throw new TextError(`${what} has no trainer settings; it is not a SentencePiece model, or it is cut short.`);
  if (!isNormalizerThere) throw new TextError(`${what} has no normaliser settings; it is cut short, so fetch the file again.`);
  if (modelType !== BPE) {
    const name = MODEL_TYPES[modelType] ?? `type ${modelType}`;
    throw new TextError(`${what} is a SentencePiece ${name} model; only BPE models, which the Llama family uses, are read.`);
  }
  checkPieces(model, what);
  return model;
}

function readPiece(message: Uint8Array, what: string): Piece {
  const piece: Piece = { text: '', score: 0, type: PieceType.normal };
  for (const field of fields(message, what)) {
    if (field.number === 1) piece.text = readText(bytesOf(field, what), what);
    else if (field.number === 2) piece.score = numberOf(field, what);
    else if (field.number === 3) piece.type = numberOf(field, what);
  }
  if (Number.isNaN(piece.score)) throw new TextError(`${what} has NaN for a score; it must be a number.`);
  return piece;
}

function readText(bytes: Uint8Array, what: string): string {
  if (bytes.length > MAX_PIECE_BYTES) {
    throw new TextError(`${what} is ${bytes.length} bytes long; pieces have at most ${MAX_PIECE_BYTES}.`);
  }
  try {
    return utf8.decode(bytes);
  } catch {
    throw new TextError(`${what} is not valid UTF-8; pieces must be.`);
  }
}

/** Returns the model type. */
function readTrainer(model: SentencePieceModel, message: Uint8Array, what: string): number {
  let type = 1;
  for (const field of fields(message, what)) {
    if (field.number === 3) type = numberOf(field, what);
    else if (field.number === 24 && numberOf(field, what) !== 0) {
      throw new TextError(`${what} treats whitespace as a suffix; only models with whitespace in front are read.`);
    } else if (field.number === 35) model.byteFallback = numberOf(field, what) !== 0;
    else if (field.number === 40) model.unkId = int32(field, what);
    else if (field.number === 41) model.bosId = int32(field, what);
    else if (field.number === 42) model.eosId = int32(field, what);
  }
  return type;
}

function readNormalizer(model: SentencePieceModel, message: Uint8Array, what: string): void {
  for (const field of fields(message, what)) {
    if (field.number === 2) model.charsMap = bytesOf(field, what);
    else if (field.number === 3) model.addDummyPrefix = numberOf(field, what) !== 0;
    else if (field.number === 4) model.removeExtraWhitespaces = numberOf(field, what) !== 0;
    else if (field.number === 5 && numberOf(field, what) === 0) {
      throw new TextError(`${what} does not escape whitespace; only models that write a space as "▁" are read.`);
    }
  }
}

export function checkPieces({ pieces, byteFallback, unkId, bosId, eosId }: SentencePieceModel, what: string): void {
  if (pieces.length === 0) throw new TextError(`${what} has no pieces; it is not a SentencePiece model.`);
  const ids = new Map<string, number>();
  pieces.forEach(({ text }, id) => {
    const other = ids.get(text);
    if (other !== undefined)
      throw new TextError(`${what} spells pieces ${other} and ${id} alike, "${text}"; spellings must differ.`);
    if (text === '') throw new TextError(`${what}: piece ${id} is empty; every piece must have a spelling.`);
    ids.set(text, id);
  });
  if (pieces[unkId]?.type !== PieceType.unknown)
    throw new TextError(`${what} names piece ${unkId} as unknown, but its type says otherwise.`);
  for (const [name, id] of [['BOS', bosId] as const, ['EOS', eosId] as const]) {
    if (id !== -1 && pieces[id] === undefined) {
      throw new TextError(`${what} names piece ${id} as ${name}, but has only ${pieces.length} pieces.`);
    }
  }
  if (!byteFallback) return;
  for (let byte = 0; byte < 256; byte++) {
    const spelling = bytePiece(byte);
    if (!ids.has(spelling))
      throw new TextError(`${what} falls back to bytes but has no piece "${spelling}"; all 256 are needed.`);
  }
}

export function bytePiece(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
}

function bytesOf({ number, value }: Field, what: string): Uint8Array {
  if (typeof value !== 'number') return value;
  throw new TextError(`${what}: field ${number} is a number where a message or text belongs; it is not a SentencePiece model.`);
}

function numberOf({ number, value }: Field, what: string): number {
  if (typeof value === 'number') return value;
  throw new TextError(`${what}: field ${number} is text where a number belongs; it is not a SentencePiece model.`);
}

/** Negative int32 values are written as 64-bit varints; -1 is the only one that the proto uses. */
function int32(field: Field, what: string): number {
  const value = numberOf(field, what);
  return value >= 2 ** 31 ? -1 : value;
}
