// POST /tokenize and /detokenize, shaped as vLLM's: what a text or a conversation is to the model, and back.
import type { Engine } from '../engine/types.ts';
import { type ChatPolicy, encodeMessages } from './conversation.ts';
import { blaming, invalid, unsupported } from './errors.ts';
import { spelled } from './logprobs.ts';
import { tokenIds } from './sampling.ts';
import { type DetokenizeBody, type TokenizeBody, TokenizeChatBody, TokenizeTextBody } from './schema.ts';

/** UTF-8 bytes of a text, and ids of a list: more than any context, less than holds the event loop for long. */
const maxBytes = 2 ** 20;
const maxIds = 2 ** 20;

/** The schema of what a body has: a prompt or messages. */
export function tokenizeForm({ prompt, messages }: TokenizeBody): typeof TokenizeTextBody | typeof TokenizeChatBody {
  if (prompt == null && messages == null) throw invalid('prompt', 'prompt or messages is required.');
  if (prompt == null) return TokenizeChatBody;
  if (messages != null) throw invalid('messages', 'messages is only allowed without prompt: send one of the two.');
  return TokenizeTextBody;
}

/** May be longer than the context: whoever cuts a text into parts wants its length. */
export async function encodeAny(body: TokenizeBody, policy: ChatPolicy, engine: Engine): Promise<Uint32Array> {
  if (body.messages != null) {
    if (body.add_special_tokens) throw unsupported('add_special_tokens', 'with messages the template writes them; send false');
    return (await encodeMessages({ ...body, messages: body.messages }, policy, engine)).ids;
  }
  const prompt = body.prompt ?? '';
  const bytes = Buffer.byteLength(prompt);
  if (bytes > maxBytes) throw invalid('prompt', `prompt must have at most ${maxBytes} bytes, not ${bytes}.`);
  return (await blaming('prompt', engine.prepareText(prompt, body.add_special_tokens ?? true))).ids;
}

export interface Tokenized {
  count: number;
  max_model_len: number;
  tokens: number[];
  token_strs: string[] | null;
}

export function tokenized(ids: Uint32Array, withStrings: boolean, engine: Engine): Tokenized {
  const tokens = Array.from(ids);
  return {
    count: ids.length,
    max_model_len: engine.info.maxModelLen,
    tokens,
    token_strs: withStrings ? tokens.map((id) => spelled(engine, id, '')) : null,
  };
}

/** Control tokens come out as they are spelled. */
export function detokenized({ tokens }: DetokenizeBody, engine: Engine): { prompt: string } {
  if (!Array.isArray(tokens)) throw invalid('tokens', 'tokens must be an array of token ids.');
  if (tokens.length > maxIds) throw invalid('tokens', `tokens must have at most ${maxIds} items, not ${tokens.length}.`);
  return { prompt: engine.decode(Uint32Array.from(tokenIds(tokens, engine.info.vocabSize, 'tokens')), true) };
}
