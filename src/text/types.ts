// Text in: conversations and prompts. Content is data; only the template's own markup becomes control tokens.

export type Role = 'system' | 'user' | 'assistant' | 'tool';

export interface Message {
  role: Role;
  content: string;
  name?: string;
}

export interface Conversation {
  messages: Message[];
  /** True: the prompt ends where an assistant's answer begins. */
  addGenerationPrompt: boolean;
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
  ids: Uint32Array;
  spans: Span[];
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

/** Renders conversations; throws TextError when the template refuses the conversation. */
export interface ChatTemplate {
  readonly source: string;
  render(conversation: Conversation): string;
}

/** A mistake in what the user sent or configured, in a sentence that may be shown. */
export class TextError extends Error {
  override name = 'TextError';
}
