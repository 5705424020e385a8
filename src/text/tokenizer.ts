// Text to ids, by Hugging Face's tokenizers, with one rule of our own: a string is a control token only where the caller says so.
import { join } from 'node:path';
import { type JsEncoding, Tokenizer as Rust } from 'tokenizers';
import { type GgufMetadata, vocabularyOf } from './gguf.ts';
import { secretMark } from './private-use.ts';
import { anyOf, type Extent, spansOf, splitMarkup } from './segments.ts';
import { parseSentencePiece } from './sentencepiece.ts';
import { readIfThere, readTokenizerConfig, type TokenizerConfig } from './tokenizer-config.ts';
import {
  addedToken,
  checkId,
  frameOf,
  fromSentencePiece,
  parseTokenizerJson,
  stagesOf,
  type TokenizerJson,
} from './tokenizer-json.ts';
import { type Prompt, type Segment, type Span, TextError, type Tokenizer } from './types.ts';
import { Vocabulary } from './vocabulary.ts';

/** Where a text gets SentencePiece's dummy prefix: at its start, also after every control token, or as tokenizer.json says. */
type Prefix = 'start' | 'each' | 'inside';

export interface Source {
  json: TokenizerJson;
  /** The file, for errors. */
  path: string;
  prefix: Prefix;
  bosToken: string | null;
  eosToken: string | null;
  addBos: boolean | undefined;
  addEos: boolean | undefined;
}

/** From tokenizer.json, or from tokenizer.model where that is all there is. */
export const loadTokenizer = async (folder: string): Promise<Tokenizer> => tokenizerOf(await readSource(folder));

export const tokenizerOf = (source: Source): Tokenizer => new LlamaTokenizer(source);

export async function readSource(folder: string): Promise<Source> {
  const config = await readTokenizerConfig(folder);
  const jsonPath = join(folder, 'tokenizer.json');
  const json = await readIfThere(jsonPath);
  if (json !== null) return sourceFromJson(json.toString(), jsonPath, config);
  const modelPath = join(folder, 'tokenizer.model');
  const model = await readIfThere(modelPath);
  if (model !== null) return sourceFromSentencePiece(model, modelPath, config);
  throw new TextError(`${folder} has neither tokenizer.json nor tokenizer.model; one of them is needed.`);
}

/** From what a GGUF file says of its tokenizer; `path` names the file in errors. */
export async function ggufTokenizer(metadata: GgufMetadata, path: string): Promise<Tokenizer> {
  const { hasPrefix, ...source } = vocabularyOf(metadata, path);
  return tokenizerOf({ ...source, path, prefix: hasPrefix ? 'each' : 'inside' });
}

function sourceFromJson(text: string, path: string, config: TokenizerConfig): Source {
  const { bosToken = null, eosToken = null, addBos, addEos } = config;
  const json = withSpecials(parseTokenizerJson(text, path), config, path);
  return { json, path, prefix: 'inside', bosToken, eosToken, addBos, addEos };
}

function sourceFromSentencePiece(file: Uint8Array, path: string, config: TokenizerConfig): Source {
  const model = parseSentencePiece(file, path);
  model.addDummyPrefix &&= config.addPrefixSpace ?? true;
  const { bosToken = model.pieces[model.bosId]?.text ?? null, eosToken = model.pieces[model.eosId]?.text ?? null } = config;
  const { addBos = true, addEos } = config;
  const prefix = !model.addDummyPrefix ? 'inside' : config.legacy ? 'each' : 'start';
  return { json: withSpecials(fromSentencePiece(model), config, path), path, prefix, bosToken, eosToken, addBos, addEos };
}

/** Adds the tokens that only the config knows, and makes those that it names as special so. */
function withSpecials(json: TokenizerJson, config: TokenizerConfig, path: string): TokenizerJson {
  const added = new Map(json.added_tokens.map((token) => [token.content, token]));
  const idInVocab = (content: string) => (Object.hasOwn(json.model.vocab, content) ? json.model.vocab[content] : undefined);
  for (const token of config.addedTokens) {
    const known = added.get(token.content);
    const id = known?.id ?? idInVocab(token.content) ?? token.id;
    checkId(id, token.content, `${path} and its neighbours`);
    added.set(token.content, { ...token, ...known, id, special: token.special || known?.special === true });
  }
  for (const content of config.specialTokens) {
    const known = added.get(content);
    const id = known?.id ?? idInVocab(content);
    if (id !== undefined) added.set(content, { ...(known ?? addedToken(id, content, true)), special: true });
  }
  return { ...json, added_tokens: [...added.values()].sort((a, b) => a.id - b.id) };
}

/**
 * The same tokenizer with control tokens spelled so that no text contains them, neither as added tokens nor by merges. All added
 * tokens enter the vocabulary, which keeps their ids as the file gives them (the library would number them anew).
 */
function withSecrets(json: TokenizerJson, secrets: ReadonlyMap<string, string>): TokenizerJson {
  const { model, added_tokens } = json;
  const secret = (content: string) => secrets.get(content) ?? content;
  const vocab = Object.entries(model.vocab).map(([piece, id]): [string, number] => [secret(piece), id]);
  const merges = model.merges.filter((merge) => {
    const [left = '', right = ''] = typeof merge === 'string' ? merge.split(' ') : merge;
    return !secrets.has(left + right) && !secrets.has(left) && !secrets.has(right);
  });
  return {
    ...json,
    truncation: null,
    padding: null,
    // What it puts around a text is frameOf's; what is left trims the places of tokens.
    post_processor: stagesOf(json.post_processor).find(({ type }) => type === 'ByteLevel') ?? null,
    added_tokens: added_tokens.map((token) =>
      token.special ? { ...token, content: secret(token.content), normalized: false, single_word: false } : token,
    ),
    model: {
      ...model,
      dropout: null,
      unk_token: typeof model.unk_token === 'string' ? secret(model.unk_token) : null,
      vocab: Object.fromEntries([...vocab, ...added_tokens.map(({ content, id }): [string, number] => [secret(content), id])]),
      merges,
    },
  };
}

class LlamaTokenizer implements Tokenizer {
  readonly vocabSize: number;
  readonly bosId: number | null;
  readonly eosId: number | null;
  readonly specialStrings: readonly string[];
  readonly stripsLeadingSpace: boolean;
  readonly #vocabulary: Vocabulary;
  readonly #prefix: Prefix;
  readonly #rust: Rust;
  /** Spelling of a control token -> what #rust takes for it. */
  readonly #secrets: ReadonlyMap<string, string>;
  readonly #special: RegExp;
  /** Ids around a text that is a prompt: what the post-processor puts there, unless the config says what to put. */
  readonly #before: readonly number[];
  readonly #after: readonly number[];

  constructor({ json, path, prefix, bosToken, eosToken, addBos, addEos }: Source) {
    this.#vocabulary = new Vocabulary(json, path);
    this.#prefix = prefix;
    const special = json.added_tokens.filter((token) => token.special);
    const mark = secretMark();
    this.#secrets = new Map(special.map(({ content, id }) => [content, `${mark}${id}${mark}`]));
    this.#rust = rustTokenizer(withSecrets(json, this.#secrets), path);
    this.vocabSize = this.#vocabulary.size;
    this.stripsLeadingSpace = this.#vocabulary.stripsLeadingSpace;
    this.specialStrings = [...this.#secrets.keys()].sort((a, b) => b.length - a.length);
    this.#special = anyOf(this.specialStrings);
    this.bosId = this.#named('bos_token', bosToken, path);
    this.eosId = this.#named('eos_token', eosToken, path);
    const { before, after } = frameOf(json, path);
    this.#before = addBos === undefined ? before : withToken(before, this.bosId, addBos);
    this.#after = addEos === undefined ? after : withToken(after, this.eosId, addEos);
  }

  #named(name: string, spelling: string | null, path: string): number | null {
    if (spelling === null) return null;
    const id = this.#vocabulary.idOf(spelling);
    if (id === undefined)
      throw new TextError(`${path} has no token "${spelling}", which tokenizer_config.json names as "${name}".`);
    return id;
  }

  isSpecial(id: number): boolean {
    return this.#vocabulary.isSpecial(id);
  }

  bytes(id: number): Uint8Array {
    return this.#vocabulary.bytes(id);
  }

  spelling(id: number): string {
    return this.#vocabulary.spelling(id);
  }

  async encode(text: string, addSpecial: boolean): Promise<Uint32Array> {
    const { ids } = await this.encodeSegments([{ text, control: false, message: -1 }]);
    return addSpecial ? Uint32Array.from([...this.#before, ...ids, ...this.#after]) : ids;
  }

  async encodeMarkup(text: string): Promise<Uint32Array> {
    return (await this.encodeSegments(splitMarkup(text, this.#special))).ids;
  }

  async encodeSegments(segments: readonly Segment[]): Promise<Prompt> {
    const { text, extents } = this.#join(segments.filter((segment) => segment.text !== ''));
    const encoding = await this.#rust.encode(text, null, { addSpecialTokens: false });
    return new TracedPrompt(encoding, extents, text);
  }

  /** The text that #rust reads, and where each segment ends in it. */
  #join(segments: readonly Segment[]): { text: string; extents: Extent[] } {
    let text = '';
    let textEnd = 0;
    let startsRun = true;
    const extents = segments.map(({ text: piece, control, message }, i) => {
      const prefixed = startsRun && (this.#prefix === 'each' || (this.#prefix === 'start' && i === 0));
      if (control) text += this.#secret(piece);
      else text += prefixed ? ` ${piece}` : piece;
      startsRun = control;
      textEnd += piece.length;
      return { end: text.length, textEnd, message };
    });
    return { text, extents };
  }

  #secret(spelling: string): string {
    const secret = this.#secrets.get(spelling);
    if (secret === undefined) throw new TextError(`"${spelling}" is not a control token of this model.`);
    return secret;
  }
}

/** Copying every token's place holds the event loop (a second for 300,000 tokens), and few prompts are asked for their spans. */
class TracedPrompt implements Prompt {
  readonly ids: Uint32Array;
  #find: (() => Span[]) | null;
  #spans: Span[] = [];

  constructor(encoding: JsEncoding, extents: readonly Extent[], text: string) {
    this.ids = Uint32Array.from(encoding.getIds());
    this.#find = () => spansOf({ numTokens: encoding.getLength(), charsOf: placesOf(encoding, extents.length) }, extents, text);
  }

  get spans(): Span[] {
    if (this.#find !== null) this.#spans = this.#find();
    this.#find = null;
    return this.#spans;
  }
}

/** Each border is a search of some twenty steps: with many borders all places at once are cheaper. */
function placesOf(encoding: JsEncoding, numExtents: number): (token: number) => readonly [number, number] {
  if (numExtents * 20 < encoding.getLength()) return (token) => encoding.tokenToChars(token) ?? [0, 0];
  const offsets = encoding.getOffsets() as [number, number][];
  return (token) => offsets[token] ?? [0, 0];
}

function rustTokenizer(json: TokenizerJson, path: string): Rust {
  try {
    return Rust.fromString(JSON.stringify(json));
  } catch (error) {
    throw new TextError(`${path} cannot be loaded (${(error as Error).message}).`);
  }
}

function withToken(ids: number[], id: number | null, wanted: boolean): number[] {
  if (!wanted) return ids.filter((other) => other !== id);
  return id === null || ids.includes(id) ? ids : [id, ...ids];
}
