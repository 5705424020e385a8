// Text in: conversations and prompts. Content is data; only the template's own markup becomes control tokens.

export type Role = 'system' | 'user' | 'assistant' | 'tool';

export interface Message {
  role: Role;
  content: string;
  name?: string;
}

/**
 * Where a system message reaches the model: where the template puts it (first), before every later user turn too (every_turn, as
 * Ghost Attention samples its dialogues: Llama 2, section 3.3), or before the latest user turn too (last_turn).
 */
export const SYSTEM_MODES = ['first', 'every_turn', 'last_turn'] as const;
export type SystemMode = (typeof SYSTEM_MODES)[number];

/** What is asked for, and how it is to become what the template takes. */
export interface Conversation {
  /** As the request has them; spans count these. */
  messages: Message[];
  /** True: the prompt ends where an assistant's answer begins. */
  addGenerationPrompt: boolean;
  /** The last message, an assistant's, is the beginning of the answer: the prompt ends with its text. Not with addGenerationPrompt. */
  continueFinalMessage?: boolean;
  /** first when absent. */
  systemMode?: SystemMode;
  /** Refuse what the template does not take as it is, instead of changing it. */
  strict?: boolean;
  /** Let contents have the template's textual tags. */
  allowTags?: boolean;
  /** Whole oldest turns go until the prompt has at most so many tokens; absent: nothing goes. */
  maxPromptTokens?: number;
}

/** Part of a turn's text. */
export interface Piece {
  text: string;
  /** The message that it came from; -1 is a separator. */
  message: number;
}

/** What a template takes for one message; several messages may have become one turn, or one message may be in several. */
export interface Turn {
  role: Role;
  /** The turn's content in parts. */
  pieces: Piece[];
  name?: string;
}

/** What a template takes without refusing or dropping anything, found by rendering probes. */
export interface TemplateTraits {
  /** A system message before the first user message. */
  system: boolean;
  /** A tool's message after an assistant's. */
  tool: boolean;
  /** Several messages of one role in a row. */
  runs: boolean;
  /** An assistant message at the start. */
  assistantFirst: boolean;
  /** A system message with no other. */
  systemOnly: boolean;
  /** An assistant message at the end, and another answer after it. */
  assistantLast: boolean;
  /** Those of Llama 2's textual tags that it writes. */
  tags: readonly string[];
}

/** Tokens [start, end) of a prompt came from this message; -1 is the template's own markup. */
export interface Span {
  start: number;
  end: number;
  message: number;
  /** Where its text ends in what was rendered, in UTF-16 units; it begins where the span before ends. */
  textEnd: number;
}

export interface Prompt {
  readonly ids: Uint32Array;
  /** In order, without gaps. May be found only when asked for. */
  readonly spans: Span[];
}

/** What truncation took out. */
export interface Dropped {
  messages: number;
  /** Of those messages' texts as lines of one; no template's markup. */
  tokens: number;
}

export interface ChatPrompt extends Prompt {
  /** The rendered template: what the ids are of. */
  text: string;
  /** What the template was given, and the messages whose text each has: merged, moved or copied as the template needs it. */
  turns: { role: Role; messages: number[] }[];
  dropped: Dropped;
}

/** A piece of a rendered prompt. */
export interface Segment {
  /** Data, whatever it looks like; or one of specialStrings when control. */
  text: string;
  control: boolean;
  /** The message that it came from; -1 is the template's own markup. */
  message: number;
}

export interface Tokenizer {
  /** Ids of the vocabulary, added tokens included (an upper bound: some ids may be unused). */
  readonly vocabSize: number;
  readonly bosId: number | null;
  /** What tokenizer_config.json calls eos_token; the model's full list is in generation_config.json. */
  readonly eosId: number | null;
  /** Control tokens: they have no text. */
  isSpecial(id: number): boolean;
  /** The bytes that a token adds to the text; empty for special tokens and unknown ids. */
  bytes(id: number): Uint8Array;
  /** A token's own spelling, specials included, for logprobs ("<0x0A>" pieces as their character). */
  spelling(id: number): string;
  /** Text as data: strings that look like special tokens are text. addSpecial puts BOS where the checkpoint does. Off the event loop. */
  encode(text: string, addSpecial: boolean): Promise<Uint32Array>;
  /** Markup: a rendered template in which special-token strings are control tokens. Off the event loop. */
  encodeMarkup(text: string): Promise<Uint32Array>;
  /** What encodeMarkup gives for the joined text when its control strings are the control segments. Off the event loop. */
  encodeSegments(segments: readonly Segment[]): Promise<Prompt>;
  /** Strings that are control tokens in markup, longest first. */
  readonly specialStrings: readonly string[];
  /** True when detokenising drops one leading space (SentencePiece's dummy prefix). */
  readonly stripsLeadingSpace: boolean;
}

/** Renders messages as they are; throws TextError when the template refuses them. */
export interface ChatTemplate {
  readonly source: string;
  readonly traits: TemplateTraits;
  render(messages: Pick<Conversation, 'messages' | 'addGenerationPrompt'>): string;
}

/** A mistake in what the user sent or configured, in a sentence that may be shown. */
export class TextError extends Error {
  override name = 'TextError';
}

/** A mistake in a conversation for which the wire has a code. */
export class ConversationError extends TextError {
  override name = 'ConversationError';
  readonly code: 'invalid_messages' | 'unsafe_prompt' | 'context_length_exceeded';
  /** Of the message; null: the conversation as a whole. */
  readonly index: number | null;

  constructor(code: ConversationError['code'], index: number | null, sentence: string) {
    super(sentence);
    this.code = code;
    this.index = index;
  }
}
