// A folder's tokenizer as a GGUF file's metadata says it: the way back of gguf.ts, and checked by it.
import { join } from 'node:path';
import { ownTemplate } from './chat-template.ts';
import { type GgufMetadata, nameOfPreTokenizer } from './gguf.ts';
import { PieceType, parseSentencePiece } from './sentencepiece.ts';
import { ggufTokenizer, readSource, type Source, tokenizerOf } from './tokenizer.ts';
import { readIfThere } from './tokenizer-config.ts';
import { byteOfPiece, stagesOf, type TokenizerJson } from './tokenizer-json.ts';
import { TextError, type Tokenizer } from './types.ts';

/**
 * What both tokenizers must cut alike: scripts, numbers, runs of spaces, line ends, contractions, emoji, code. None begins with a
 * space: there the Metaspace that transformers writes ("first") puts no other before it, and SentencePiece, as GGUF, does. None
 * has combining characters: Qwen2's normalisation of them (NFC) is lost, as llama.cpp's converter loses it.
 */
const SAMPLES = [
  'Hello world',
  'The quick brown fox jumps over the lazy dog.  Twice!',
  "I'm sure they've said it'll work, he'd agree; IT'S fine.",
  'In 1984, 3.14159 x 1,000,000 = 3141590; 007 and 42nd.',
  'two  spaces,\ttabs\t\tand\n\nnew lines\r\n   at the end   ',
  'Ça va? Où est-il né? Größenwahn, señor, ¿qué tal?',
  'Привет, мир! Γειά σου Κόσμε. שלום עולם مرحبا بالعالم',
  '你好，世界。日本語のテキスト、한국어 텍스트',
  '👩‍👩‍👧‍👦 🇫🇷 \u200b\ufeff \u00a0 x',
  'function f(a, b) {\n  return a[0] <= b && !c; // <tag attr="v">\n}\n',
  'snake_case camelCase kebab-case http://example.com/a?b=c#d me@example.com $5.00 100%',
];

/**
 * tokenizer.ggml.* of the tokenizer, for `size` embeddings, and the folder's chat template. Throws TextError on a tokenizer that
 * GGUF cannot describe: one whose texts would be cut differently by what was written.
 */
export async function ggufVocabulary(folder: string, size: number, eosIds: readonly number[]): Promise<GgufMetadata> {
  const source = await readSource(folder);
  const tokenizer = tokenizerOf(source);
  const template = await ownTemplate(folder);
  const { texts, types } = tokensOf(source.json, size, source.path);
  const unknownId = types.indexOf(PieceType.unknown);
  const metadata = {
    ...(isByteLevel(source.json) ? byteLevel(source) : sentencePiece(source, texts, await scoresOf(folder, source.json))),
    'tokenizer.ggml.tokens': texts,
    'tokenizer.ggml.token_type': types,
    ...(unknownId >= 0 && { 'tokenizer.ggml.unknown_token_id': unknownId }),
    ...(await specialTokens(tokenizer, eosIds)),
    ...(template !== null && { 'tokenizer.chat_template': template }),
  };
  await compare(tokenizer, await ggufTokenizer(metadata, source.path), source.path);
  return metadata;
}

const isByteLevel = ({ decoder, pre_tokenizer }: TokenizerJson): boolean =>
  [...stagesOf(decoder), ...stagesOf(pre_tokenizer)].some(({ type }) => type === 'ByteLevel');

const pairOf = (merge: [string, string] | string): readonly string[] => (typeof merge === 'string' ? merge.split(' ') : merge);

function byteLevel({ json, path }: Source): GgufMetadata {
  const pre = nameOfPreTokenizer(json);
  if (pre === null)
    throw new TextError(`${path} cuts text in a way for which GGUF has no name; Llama 3's, Qwen2's and GPT-2's have one.`);
  return {
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': pre,
    'tokenizer.ggml.merges': json.model.merges.map((merge) => pairOf(merge).join(' ')),
  };
}

function sentencePiece({ json, prefix }: Source, texts: readonly string[], scores: Scores): GgufMetadata {
  const stages = [...stagesOf(json.normalizer), ...stagesOf(json.pre_tokenizer)];
  const prepends = stages.some(
    ({ type, prepend_scheme }) => type === 'Prepend' || (type === 'Metaspace' && prepend_scheme !== 'never'),
  );
  const charsMap = stages.find(({ type }) => type === 'Precompiled')?.['precompiled_charsmap'];
  return {
    'tokenizer.ggml.model': 'llama',
    'tokenizer.ggml.pre': 'default',
    'tokenizer.ggml.scores': Float32Array.from(texts, (text) => scores.get(text) ?? -scores.size),
    'tokenizer.ggml.add_space_prefix': prefix !== 'inside' || prepends,
    'tokenizer.ggml.remove_extra_whitespaces': stages.some(({ type, content }) => type === 'Replace' && content === ''),
    ...(typeof charsMap === 'string' && {
      'tokenizer.ggml.precompiled_charsmap': new Uint8Array(Buffer.from(charsMap, 'base64')),
    }),
  };
}

/** By spelling. */
type Scores = ReadonlyMap<string, number>;

/** SentencePiece's own where its file is there, too; else merges, which lie in the order of the scores that they were made from. */
async function scoresOf(folder: string, { model }: TokenizerJson): Promise<Scores> {
  const path = join(folder, 'tokenizer.model');
  const file = await readIfThere(path);
  if (file !== null && isSentencePiece(file)) {
    const { pieces } = parseSentencePiece(file, path);
    return new Map(pieces.map(({ text, score }) => [text, score]));
  }
  const scores = new Map<string, number>();
  for (const merge of model.merges) {
    const piece = pairOf(merge).join('');
    if (!scores.has(piece)) scores.set(piece, -scores.size);
  }
  return scores;
}

/** Llama 3 keeps a table of tiktoken's under the same name. */
const isSentencePiece = (file: Uint8Array): boolean => file[0] === 0x0a;

/** Ids without a token are filled up as llama.cpp's converter does. */
function tokensOf({ model, added_tokens }: TokenizerJson, size: number, path: string) {
  const texts = Array.from({ length: size }, (_, id) => `[PAD${id}]`);
  const types = new Int32Array(size).fill(PieceType.unused);
  const put = (text: string, id: number, type: number) => {
    if (id >= size) throw new TextError(`${path} has the token ${id}, but config.json says that there are ${size}.`);
    texts[id] = text;
    types[id] = type;
  };
  for (const [piece, id] of Object.entries(model.vocab))
    put(piece, id, model.byte_fallback && byteOfPiece(piece) >= 0 ? PieceType.byte : PieceType.normal);
  const unknown = model.unk_token ?? '<unk>';
  for (const { content, id, special } of added_tokens) {
    const control = content === unknown ? PieceType.unknown : PieceType.control;
    put(content, id, special ? control : PieceType.userDefined);
  }
  return { texts, types };
}

async function specialTokens(tokenizer: Tokenizer, eosIds: readonly number[]): Promise<GgufMetadata> {
  const { bosId, eosId } = tokenizer;
  const framed = [...(await tokenizer.encode('a', true))];
  const eos = eosId ?? eosIds[0];
  const turnEnd = eosIds.find((id) => id !== eos);
  return {
    ...(bosId !== null && { 'tokenizer.ggml.bos_token_id': bosId }),
    ...(eos !== undefined && { 'tokenizer.ggml.eos_token_id': eos }),
    ...(turnEnd !== undefined && { 'tokenizer.ggml.eot_token_id': turnEnd }),
    'tokenizer.ggml.add_bos_token': bosId !== null && framed[0] === bosId,
    'tokenizer.ggml.add_eos_token': eosId !== null && framed.at(-1) === eosId,
  };
}

async function compare(ours: Tokenizer, written: Tokenizer, path: string): Promise<void> {
  for (const sample of SAMPLES) {
    const [a, b] = await Promise.all([ours.encode(sample, true), written.encode(sample, true)]);
    if (a.length === b.length && a.every((id, i) => id === b[i])) continue;
    throw new TextError(
      `${path} cuts text by rules that GGUF cannot say: ${JSON.stringify(sample)} would become other tokens. Serve the folder as it is.`,
    );
  }
}
