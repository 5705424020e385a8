// The part of a tokenizer.json (Hugging Face tokenizers) that is looked at here; the rest passes through.
import { bytePiece, PieceType, type SentencePieceModel } from './sentencepiece.ts';
import { TextError } from './types.ts';

export interface AddedToken {
  id: number;
  content: string;
  single_word: boolean;
  lstrip: boolean;
  rstrip: boolean;
  normalized: boolean;
  special: boolean;
}

/** A normalizer, pre-tokenizer, post-processor or decoder. */
export interface Stage {
  type: string;
  [option: string]: unknown;
}

export interface TokenizerJson {
  added_tokens: AddedToken[];
  normalizer: Stage | null;
  pre_tokenizer: Stage | null;
  post_processor: Stage | null;
  decoder: Stage | null;
  model: {
    type: string;
    unk_token: string | null;
    byte_fallback: boolean;
    vocab: Record<string, number>;
    /** Pairs, or "left right" in older files. */
    merges: ([string, string] | string)[];
    [option: string]: unknown;
  };
  [option: string]: unknown;
}

/** Ids are indices of tables: this bounds their size. */
const MAX_ID = 2 ** 22;

export function parseTokenizerJson(text: string, what: string): TokenizerJson {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new TextError(`${what} is not valid JSON (${(error as Error).message}).`);
  }
  if (!isRecord(json) || !isRecord(json['model'])) throw new TextError(`${what} has no "model"; it is not a tokenizer.json.`);
  const { model } = json;
  if (model['type'] !== undefined && model['type'] !== 'BPE') {
    throw new TextError(
      `${what} has a model of type ${JSON.stringify(model['type'])}; only BPE, which the Llama family uses, is read.`,
    );
  }
  if (!isRecord(model['vocab'])) throw new TextError(`${what} has no "model.vocab"; it must map pieces to ids.`);
  if (!Array.isArray(model['merges'])) throw new TextError(`${what} has no "model.merges"; it must be a list of pairs.`);
  const strange = model['merges'].find((merge) => !isMerge(merge));
  if (strange !== undefined)
    throw new TextError(`${what} has the merge ${JSON.stringify(strange)?.slice(0, 80)}; merges are pairs of pieces.`);
  // No model of the Llama family has them, and the library cuts pieces by their lengths without looking.
  for (const key of ['continuing_subword_prefix', 'end_of_word_suffix'])
    if ((model[key] ?? '') !== '') throw new TextError(`${what} has a "model.${key}"; expected is null.`);
  const added = json['added_tokens'] ?? [];
  if (!Array.isArray(added) || !added.every(isAdded)) {
    throw new TextError(`${what}: "added_tokens" must be a list of tokens, each with an "id" and a "content".`);
  }
  const tokenizer = { ...json, model: { ...model, type: 'BPE' }, added_tokens: added } as unknown as TokenizerJson;
  for (const [piece, id] of Object.entries(tokenizer.model.vocab)) checkId(id, piece, what);
  for (const token of tokenizer.added_tokens) checkId(token.id, token.content, what);
  return tokenizer;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const isMerge = (merge: unknown): boolean =>
  typeof merge === 'string' ||
  (Array.isArray(merge) && merge.length === 2 && merge.every((piece) => typeof piece === 'string'));

function isAdded(token: unknown): boolean {
  return isRecord(token) && typeof token['content'] === 'string' && token['content'] !== '' && typeof token['id'] === 'number';
}

export function checkId(id: unknown, piece: string, what: string): void {
  if (Number.isInteger(id) && (id as number) >= 0 && (id as number) < MAX_ID) return;
  throw new TextError(
    `${what} gives ${JSON.stringify(piece)} the id ${JSON.stringify(id)}; ids are whole numbers below ${MAX_ID}.`,
  );
}

export function addedToken(id: number, content: string, special: boolean): AddedToken {
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special };
}

/**
 * The same vocabulary as a tokenizer.json. The dummy prefix is left to the caller, who knows where a text starts: a normaliser
 * would put it before every run between added tokens, user-defined pieces included.
 */
export function fromSentencePiece(model: SentencePieceModel): TokenizerJson {
  const { pieces, unkId, byteFallback } = model;
  const added = pieces.flatMap(({ text, type }, id) => {
    if (type === PieceType.userDefined) return [addedToken(id, text, false)];
    return type === PieceType.control || type === PieceType.unknown ? [addedToken(id, text, true)] : [];
  });
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: { type: 'Sequence', normalizers: normalizers(model) },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(model.addDummyPrefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: byteFallback ? null : (pieces[unkId]?.text ?? null),
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: byteFallback,
      ignore_merges: false,
      vocab: Object.fromEntries(pieces.map(({ text }, id) => [text, id])),
      merges: merges(model),
    },
  };
}

/** As normalizer.cc does: runs of spaces shrink before they are escaped, and what ends in "▁" loses it after. */
function normalizers({ charsMap, removeExtraWhitespaces }: SentencePieceModel): Stage[] {
  const replace = (pattern: object, content: string): Stage => ({ type: 'Replace', pattern, content });
  const stages = [replace({ String: ' ' }, '▁')];
  if (removeExtraWhitespaces) {
    stages.unshift(replace({ Regex: ' {2,}' }, ' '));
    stages.push(replace({ Regex: '▁+\\z' }, ''));
  }
  if (charsMap.length > 0) {
    stages.unshift({ type: 'Precompiled', precompiled_charsmap: Buffer.from(charsMap).toString('base64') });
  }
  return stages;
}

/** SentencePiece joins the neighbours whose union is the best piece; a list of pairs says the same when sorted by the union's score. */
function merges({ pieces }: SentencePieceModel): [string, string][] {
  const ids = new Map<string, number>();
  pieces.forEach(({ text, type }, id) => {
    if (type === PieceType.normal) ids.set(text, id);
  });
  const candidates: { pair: [string, string]; score: number; left: number; right: number }[] = [];
  for (const { text, score, type } of pieces) {
    if (type !== PieceType.normal) continue;
    let cut = 0;
    for (const character of text) {
      cut += character.length;
      const pair: [string, string] = [text.slice(0, cut), text.slice(cut)];
      const left = ids.get(pair[0]);
      const right = ids.get(pair[1]);
      if (left !== undefined && right !== undefined) candidates.push({ pair, score, left, right });
    }
  }
  candidates.sort((a, b) => b.score - a.score || a.left - b.left || a.right - b.right);
  return candidates.map(({ pair }) => pair);
}

/** A stage, or the stages of a sequence. */
export function stagesOf(stage: Stage | null): Stage[] {
  if (!stage) return [];
  const inner = stage['decoders'] ?? stage['pretokenizers'] ?? stage['normalizers'] ?? stage['processors'];
  return Array.isArray(inner) ? (inner as Stage[]).flatMap(stagesOf) : [stage];
}

/**
 * The ids that a post-processor puts around a text. It is read here and not left to the library, which ends the process over a
 * template that names a token it lacks.
 */
export function frameOf({ post_processor }: TokenizerJson, what: string): { before: number[]; after: number[] } {
  const frame = { before: [] as number[], after: [] as number[] };
  for (const stage of stagesOf(post_processor)) {
    if (stage.type === 'ByteLevel') continue;
    const { before, after } = partsOf(stage, what);
    frame.before.unshift(...before);
    frame.after.push(...after);
  }
  return frame;
}

function partsOf(stage: Stage, what: string): { before: number[]; after: number[] } {
  const wrong = new TextError(`${what}: "post_processor" of type ${JSON.stringify(stage.type)} is not one that can be read.`);
  const { single, special_tokens: special, cls, sep } = stage;
  if (stage.type === 'BertProcessing' || stage.type === 'RobertaProcessing') {
    if (!Array.isArray(cls) || !Array.isArray(sep)) throw wrong;
    return { before: idsOf([cls[1]], wrong), after: idsOf([sep[1]], wrong) };
  }
  if (stage.type !== 'TemplateProcessing' || !Array.isArray(single) || !isRecord(special)) throw wrong;
  const at = single.findIndex((piece) => isRecord(piece) && isRecord(piece['Sequence']));
  if (at < 0) throw wrong;
  const ids = (piece: unknown) => {
    const token = isRecord(piece) && isRecord(piece['SpecialToken']) ? special[String(piece['SpecialToken']['id'])] : undefined;
    return idsOf(isRecord(token) ? token['ids'] : undefined, wrong);
  };
  return { before: single.slice(0, at).flatMap(ids), after: single.slice(at + 1).flatMap(ids) };
}

function idsOf(value: unknown, wrong: TextError): number[] {
  if (!Array.isArray(value) || !value.every((id) => Number.isInteger(id) && id >= 0 && id < MAX_ID)) throw wrong;
  return value;
}

/** The byte of a piece such as "<0x0A>", or -1. */
export function byteOfPiece(piece: string): number {
  if (!/^<0x[0-9A-F]{2}>$/.test(piece)) return -1;
  const byte = Number.parseInt(piece.slice(3, 5), 16);
  return bytePiece(byte) === piece ? byte : -1;
}
