// What a model folder says about its tokenizer besides the vocabulary: tokenizer_config.json and the files around it.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type AddedToken, addedToken, isRecord } from './tokenizer-json.ts';
import { TextError } from './types.ts';

export interface TokenizerConfig {
  /** undefined: the folder does not say; null: there is none. */
  bosToken: string | null | undefined;
  eosToken: string | null | undefined;
  /** undefined: as the tokenizer's post-processor says. */
  addBos: boolean | undefined;
  addEos: boolean | undefined;
  /** Hugging Face's name for SentencePiece's own behaviour: the dummy prefix follows every control token, not only the start. */
  legacy: boolean;
  /** undefined: as the vocabulary says. */
  addPrefixSpace: boolean | undefined;
  /** Tokens that have no text, by spelling. */
  specialTokens: string[];
  /** Tokens beside the vocabulary, by id. */
  addedTokens: AddedToken[];
  chatTemplate: unknown;
}

/** null when the file is not there. */
export async function readIfThere(path: string): Promise<Buffer | null> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new TextError(`${path} cannot be read (${(error as Error).message}).`);
  }
}

async function readJson(path: string): Promise<Record<string, unknown>> {
  const text = await readIfThere(path);
  if (text === null) return {};
  let json: unknown;
  try {
    json = JSON.parse(text.toString());
  } catch (error) {
    throw new TextError(`${path} is not valid JSON (${(error as Error).message}).`);
  }
  if (!isRecord(json)) throw new TextError(`${path} must be a JSON object.`);
  return json;
}

export async function readTokenizerConfig(folder: string): Promise<TokenizerConfig> {
  const path = join(folder, 'tokenizer_config.json');
  const named = await readJson(join(folder, 'special_tokens_map.json'));
  const config = await readJson(path);
  const token = (key: string) => spelling(config[key] ?? named[key] ?? config[key], `${path}: "${key}"`);
  const flag = (key: string) => {
    const value = config[key] ?? undefined;
    if (value === undefined || typeof value === 'boolean') return value;
    throw new TextError(`${path}: "${key}" must be true or false, not ${JSON.stringify(value)}.`);
  };
  const lists = ['additional_special_tokens', 'extra_special_tokens'].flatMap((key) => spellings(config[key] ?? named[key]));
  return {
    bosToken: token('bos_token'),
    eosToken: token('eos_token'),
    addBos: flag('add_bos_token'),
    addEos: flag('add_eos_token'),
    legacy: flag('legacy') ?? true,
    addPrefixSpace: flag('add_prefix_space'),
    specialTokens: [token('bos_token'), token('eos_token'), token('unk_token'), token('pad_token'), ...lists].filter(
      (content) => typeof content === 'string',
    ),
    addedTokens: [...(await addedTokensFile(folder)), ...addedTokensDecoder(config['added_tokens_decoder'], path)],
    chatTemplate: config['chat_template'],
  };
}

/** A token is written as its spelling or as {"content": spelling, ...}. */
function spelling(value: unknown, what: string): string | null | undefined {
  const content = isRecord(value) ? value['content'] : value;
  if (content === undefined) return undefined;
  if (content === null || content === '') return null;
  if (typeof content === 'string') return content;
  throw new TextError(`${what} must be a token's spelling, not ${JSON.stringify(value)}.`);
}

function spellings(value: unknown): string[] {
  const list = isRecord(value) ? Object.values(value) : Array.isArray(value) ? value : [];
  return list.flatMap((entry) => spelling(entry, 'a special token') ?? []);
}

/** {"32000": {"content": "<|im_start|>", "special": true, ...}}: wins over added_tokens.json, being newer. */
function addedTokensDecoder(value: unknown, path: string): AddedToken[] {
  if (!isRecord(value)) return [];
  return Object.entries(value).map(([id, token]) => {
    if (!isRecord(token) || typeof token['content'] !== 'string' || token['content'] === '') {
      throw new TextError(`${path}: "added_tokens_decoder" entry ${id} must have a "content" with the token's spelling.`);
    }
    const { lstrip, rstrip, special } = token;
    return {
      ...addedToken(Number(id), token['content'], special === true),
      lstrip: lstrip === true,
      rstrip: rstrip === true,
    };
  });
}

/** {"<|im_start|>": 32000}: whether they are special is not said, so only the names elsewhere make them so. */
async function addedTokensFile(folder: string): Promise<AddedToken[]> {
  const path = join(folder, 'added_tokens.json');
  return Object.entries(await readJson(path)).map(([content, id]) => addedToken(id as number, content, false));
}
