// The request bodies: one object is the validation and the type. What is not named here is reported as ignored (fields.ts).
import Type, { type Static, type TSchema } from 'typebox';
import { SYSTEM_MODES } from '../text/types.ts';

const nullable = <T extends TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]));
const count = (minimum: number) => Type.Integer({ minimum });

/** Choices of one request, prompts included: 2048 is also the most inputs that the API's other routes take. */
export const maxChoices = 2048;

/** JSON numbers are doubles: 2^63 - 1 arrives as 2^63, so both ends are inclusive. */
const int64 = Type.Integer({ minimum: -(2 ** 63), maximum: 2 ** 63 });

/** Each choice keeps a table of its length. */
const stopString = Type.String({ minLength: 1, maxLength: 1024 });

const sampling = {
  model: Type.String(),
  temperature: nullable(Type.Number({ minimum: 0, maximum: 2 })),
  top_p: nullable(Type.Number({ minimum: 0, maximum: 1 })),
  n: nullable(Type.Integer({ minimum: 1, maximum: 128 })),
  stop: nullable(Type.Union([stopString, Type.Array(stopString, { minItems: 1, maxItems: 4 })])),
  seed: nullable(int64),
  presence_penalty: nullable(Type.Number({ minimum: -2, maximum: 2 })),
  frequency_penalty: nullable(Type.Number({ minimum: -2, maximum: 2 })),
  logit_bias: nullable(Type.Record(Type.String(), Type.Number({ minimum: -100, maximum: 100 }), { maxProperties: 1024 })),
  stream: nullable(Type.Boolean()),
  stream_options: nullable(
    Type.Object({ include_usage: nullable(Type.Boolean()), include_obfuscation: nullable(Type.Boolean()) }),
  ),
  // Beyond OpenAI's own, as vLLM names them.
  top_k: nullable(count(-1)),
  min_p: nullable(Type.Number({ minimum: 0, maximum: 1 })),
  // Smaller or larger divisors would overflow a float32 logit.
  repetition_penalty: nullable(Type.Number({ minimum: 0.01, maximum: 100 })),
  stop_token_ids: nullable(Type.Array(count(0), { maxItems: 32 })),
  min_tokens: nullable(count(0)),
  ignore_eos: nullable(Type.Boolean()),
};

export const SamplingBody = Type.Object(sampling);
export type SamplingBody = Static<typeof SamplingBody>;

export const ContentPart = Type.Object({ type: Type.String(), text: nullable(Type.String()) });

export const ChatMessage = Type.Object({
  role: Type.Enum(['system', 'developer', 'user', 'assistant', 'tool']),
  content: nullable(Type.Union([Type.String(), Type.Array(ContentPart, { minItems: 1 })])),
  name: nullable(Type.String()),
  tool_call_id: nullable(Type.String()),
});
export type ChatMessage = Static<typeof ChatMessage>;

/** What decides a prompt. */
const conversation = {
  messages: Type.Array(ChatMessage, { minItems: 1 }),
  system_mode: nullable(Type.Enum([...SYSTEM_MODES])),
  add_generation_prompt: nullable(Type.Boolean()),
  continue_final_message: nullable(Type.Boolean()),
};
export const ConversationBody = Type.Object(conversation);
export type ConversationBody = Static<typeof ConversationBody>;

export const ChatBody = Type.Object({
  ...sampling,
  ...conversation,
  truncation: nullable(Type.Enum(['error', 'drop_oldest'])),
  max_tokens: nullable(count(1)),
  max_completion_tokens: nullable(count(1)),
  logprobs: nullable(Type.Boolean()),
  top_logprobs: nullable(Type.Integer({ minimum: 0, maximum: 20 })),
});
export type ChatBody = Static<typeof ChatBody>;

/** What of a chat's body decides its prompt. */
export const RenderBody = Type.Object({
  ...conversation,
  model: nullable(Type.String()),
  truncation: ChatBody.properties.truncation,
  max_tokens: ChatBody.properties.max_tokens,
  max_completion_tokens: ChatBody.properties.max_completion_tokens,
  min_tokens: ChatBody.properties.min_tokens,
});
export type RenderBody = Static<typeof RenderBody>;

/** Checked by toPrompts: a union of arrays of a million numbers would take minutes to explain. */
export type Prompts = string | string[] | number[] | number[][] | null;
const Prompts = Type.Unsafe<Prompts>({});

export const CompletionBody = Type.Object({
  ...sampling,
  prompt: Prompts,
  max_tokens: nullable(count(0)),
  logprobs: nullable(Type.Integer({ minimum: 0, maximum: 20 })),
  echo: nullable(Type.Boolean()),
  best_of: nullable(count(1)),
});
export type CompletionBody = Static<typeof CompletionBody>;

const tokenize = { model: nullable(Type.String()), return_token_strs: nullable(Type.Boolean()) };

/** A text, as /v1/completions takes it. */
export const TokenizeTextBody = Type.Object({
  ...tokenize,
  prompt: Type.String(),
  add_special_tokens: nullable(Type.Boolean()),
});
export type TokenizeTextBody = Static<typeof TokenizeTextBody>;

/** A conversation, as /v1/chat/completions takes it. */
export const TokenizeChatBody = Type.Object({
  ...tokenize,
  ...conversation,
});
export type TokenizeChatBody = Static<typeof TokenizeChatBody>;

/** One of the two: tokenize.ts tells them apart. */
export const TokenizeBody = Type.Object({
  ...TokenizeTextBody.properties,
  ...TokenizeChatBody.properties,
  prompt: nullable(TokenizeTextBody.properties.prompt),
  messages: nullable(TokenizeChatBody.properties.messages),
});
export type TokenizeBody = Static<typeof TokenizeBody>;

/** Checked by toDetokenized, as prompts are. */
export const DetokenizeBody = Type.Object({ model: nullable(Type.String()), tokens: Type.Unsafe<unknown>({}) });
export type DetokenizeBody = Static<typeof DetokenizeBody>;
