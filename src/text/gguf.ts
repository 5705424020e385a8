// The vocabulary of a GGUF file as a tokenizer.json: its metadata under "tokenizer." (ggml-org/ggml, docs/gguf.md, "Tokenizer").
import { checkPieces, MAX_PIECES, type Piece, PieceType, type SentencePieceModel } from './sentencepiece.ts';
import { addedToken, fromSentencePiece, type Stage, stagesOf, type TokenizerJson } from './tokenizer-json.ts';
import { TextError } from './types.ts';

export type GgufMetadata = Readonly<Record<string, unknown>>;

export interface GgufVocabulary {
  json: TokenizerJson;
  /** SentencePiece's dummy prefix stands before every run of text, as llama.cpp puts it. */
  hasPrefix: boolean;
  bosToken: string | null;
  eosToken: string | null;
  addBos: boolean;
  addEos: boolean;
}

/** How a byte-level vocabulary cuts text before it merges, and what else its name implies. */
interface PreTokenizer {
  /** One cuts what the one before left; none: GPT-2's own. */
  patterns: readonly string[];
  addBos: boolean;
  ignoreMerges: boolean;
}

// Of the tokenizer.json of Llama 3 and of Qwen2; they differ in how many digits stay together.
const splitBy = (digits: string) =>
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;

// Of files that do not say how: llama.cpp's own, from before there was a name (llama-vocab.cpp, llm_tokenizer_bpe).
const DEFAULT_SPLITS = [
  '[\\p{P}\\$\\+<=>\\^~\\|]+',
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)",
  '\\p{N}+',
  '[0-9][0-9][0-9]',
];

const LLAMA_3: PreTokenizer = { patterns: [splitBy('\\p{N}{1,3}')], addBos: true, ignoreMerges: true };
/** By "tokenizer.ggml.pre"; names as in llama.cpp. */
const PRE_TOKENIZERS: ReadonlyMap<unknown, PreTokenizer> = new Map([
  ['llama-bpe', LLAMA_3],
  ['llama3', LLAMA_3],
  ['llama-v3', LLAMA_3],
  ['qwen2', { patterns: [splitBy('\\p{N}')], addBos: false, ignoreMerges: false }],
  ['gpt-2', { patterns: [], addBos: false, ignoreMerges: false }],
  ['default', { patterns: DEFAULT_SPLITS, addBos: false, ignoreMerges: false }],
]);

/** `what` names the file in errors. */
export function vocabularyOf(metadata: GgufMetadata, what: string): GgufVocabulary {
  const kind = metadata['tokenizer.ggml.model'];
  if (kind === 'llama') return sentencePieceOf(metadata, what);
  if (kind === 'gpt2') return byteLevelOf(metadata, what);
  const found = typeof kind === 'string' ? `a vocabulary of kind "${kind}"` : 'no vocabulary';
  throw new TextError(`${what} has ${found}; SentencePiece's ("llama") and byte-level BPE ("gpt2") are read.`);
}

function sentencePieceOf(metadata: GgufMetadata, what: string): GgufVocabulary {
  const texts = strings(metadata, 'tokenizer.ggml.tokens', what);
  const scores = numbers(metadata, 'tokenizer.ggml.scores', texts.length, what);
  const types = numbers(metadata, 'tokenizer.ggml.token_type', texts.length, what);
  const pieces = texts.map((text, id): Piece => ({ text, score: scores[id] ?? 0, type: types[id] ?? PieceType.normal }));
  const nan = pieces.findIndex(({ score }) => Number.isNaN(score));
  if (nan >= 0) throw new TextError(`${what}: token ${nan} has NaN for a score; it must be a number.`);
  const model: SentencePieceModel = {
    pieces,
    byteFallback: pieces.some(({ type }) => type === PieceType.byte),
    unkId: idOf(metadata, 'unknown_token_id', texts.length, what) ?? 0,
    bosId: idOf(metadata, 'bos_token_id', texts.length, what) ?? -1,
    eosId: idOf(metadata, 'eos_token_id', texts.length, what) ?? -1,
    addDummyPrefix: flag(metadata, 'add_space_prefix', true, what),
    removeExtraWhitespaces: flag(metadata, 'remove_extra_whitespaces', false, what),
    charsMap: charsMapOf(metadata, what),
  };
  checkPieces(model, what);
  return {
    json: fromSentencePiece(model),
    hasPrefix: model.addDummyPrefix,
    bosToken: pieces[model.bosId]?.text ?? null,
    eosToken: pieces[model.eosId]?.text ?? null,
    addBos: flag(metadata, 'add_bos_token', true, what),
    addEos: flag(metadata, 'add_eos_token', false, what),
  };
}

function byteLevelOf(metadata: GgufMetadata, what: string): GgufVocabulary {
  const texts = strings(metadata, 'tokenizer.ggml.tokens', what);
  const types = numbers(metadata, 'tokenizer.ggml.token_type', texts.length, what);
  const merges = strings(metadata, 'tokenizer.ggml.merges', what).map((merge): [string, string] => {
    // A piece may begin with the character that stands for a space, never with a space.
    const cut = merge.indexOf(' ');
    if (cut > 0 && cut < merge.length - 1) return [merge.slice(0, cut), merge.slice(cut + 1)];
    throw new TextError(`${what} has the merge ${JSON.stringify(merge)}; merges are two pieces with a space between them.`);
  });
  const vocab = Object.fromEntries(texts.map((text, id) => [text, id]));
  if (Object.keys(vocab).length < texts.length) {
    const id = texts.findIndex((text, at) => vocab[text] !== at);
    throw new TextError(`${what} spells tokens ${id} and ${vocab[texts[id] ?? '']} alike; spellings must differ.`);
  }
  const { patterns, addBos, ignoreMerges } = preTokenizerOf(metadata, what);
  const added = texts.flatMap((text, id) => {
    if (types[id] === PieceType.userDefined) return [addedToken(id, text, false)];
    return types[id] === PieceType.control || types[id] === PieceType.unknown ? [addedToken(id, text, true)] : [];
  });
  const spelling = (key: string) => texts[idOf(metadata, key, texts.length, what) ?? -1] ?? null;
  return {
    json: {
      version: '1.0',
      added_tokens: added,
      normalizer: null,
      pre_tokenizer: splitting(patterns),
      post_processor: null,
      decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: { type: 'BPE', unk_token: null, byte_fallback: false, ignore_merges: ignoreMerges, vocab, merges },
    },
    hasPrefix: false,
    bosToken: spelling('bos_token_id'),
    eosToken: spelling('eos_token_id'),
    addBos: flag(metadata, 'add_bos_token', addBos, what),
    addEos: flag(metadata, 'add_eos_token', false, what),
  };
}

function preTokenizerOf(metadata: GgufMetadata, what: string): PreTokenizer {
  const name = metadata['tokenizer.ggml.pre'] ?? 'default';
  const known = PRE_TOKENIZERS.get(name);
  if (known) return known;
  const names = [...PRE_TOKENIZERS.keys()].join(', ');
  throw new TextError(`${what} cuts text as ${JSON.stringify(name)} does ("tokenizer.ggml.pre"); known are ${names}.`);
}

/** The name of the way in which a byte-level tokenizer.json cuts text; null when GGUF has none for it. */
export function nameOfPreTokenizer(json: TokenizerJson): string | null {
  const stages = stagesOf(json.pre_tokenizer);
  const patterns = stages.flatMap(({ type, pattern }) => (type === 'Split' ? [(pattern as { Regex?: string })?.Regex] : []));
  for (const [name, known] of PRE_TOKENIZERS) {
    if (typeof name === 'string' && JSON.stringify(known.patterns) === JSON.stringify(patterns)) return name;
  }
  return null;
}

function splitting(patterns: readonly string[]): Stage {
  const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: patterns.length === 0 };
  const splits = patterns.map((Regex) => ({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false }));
  return { type: 'Sequence', pretokenizers: [...splits, bytes] };
}

function strings(metadata: GgufMetadata, key: string, what: string): readonly string[] {
  const value = metadata[key];
  if (!Array.isArray(value) || (value.length === 0 && key.endsWith('tokens')))
    throw new TextError(`${what} has no "${key}"; it must be a list of strings.`);
  if (value.length > MAX_PIECES && key.endsWith('tokens'))
    throw new TextError(`${what} has ${value.length} tokens; at most ${MAX_PIECES} are read.`);
  return value as string[];
}

/** [n], or empty when the file has none. */
function numbers(metadata: GgufMetadata, key: string, n: number, what: string): ArrayLike<number> {
  const value = metadata[key];
  if (value === undefined) return [];
  const list = ArrayBuffer.isView(value) ? (value as unknown as ArrayLike<number>) : null;
  if (list?.length === n) return list;
  throw new TextError(`${what}: "${key}" must be a list of ${n} numbers, one a token.`);
}

/** A token's id; undefined when the file names none. 2^32 - 1 is -1, which some writers put for "none". */
function idOf(metadata: GgufMetadata, name: string, n: number, what: string): number | undefined {
  const value = metadata[`tokenizer.ggml.${name}`];
  if (value === undefined || value === -1 || value === 0xffffffff) return undefined;
  if (Number.isInteger(value) && (value as number) >= 0 && (value as number) < n) return value as number;
  throw new TextError(`${what}: "tokenizer.ggml.${name}" is ${String(value)}; it must be the id of one of the ${n} tokens.`);
}

function flag(metadata: GgufMetadata, name: string, standard: boolean, what: string): boolean {
  const value = metadata[`tokenizer.ggml.${name}`] ?? standard;
  if (typeof value === 'boolean') return value;
  throw new TextError(`${what}: "tokenizer.ggml.${name}" must be true or false, not ${String(value)}.`);
}

function charsMapOf(metadata: GgufMetadata, what: string): Uint8Array {
  const value = metadata['tokenizer.ggml.precompiled_charsmap'] ?? new Uint8Array(0);
  if (value instanceof Uint8Array || value instanceof Int8Array)
    return new Uint8Array(value.buffer, value.byteOffset, value.length);
  throw new TextError(`${what}: "tokenizer.ggml.precompiled_charsmap" must be a list of bytes.`);
}
