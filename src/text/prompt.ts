// A conversation as a prompt. Content is data: no string in it becomes a control token, whatever the template does with it.
import { unusedCharacters } from './private-use.ts';
import { anyOf, escapeRegExp, splitMarkup } from './segments.ts';
import {
  type ChatTemplate,
  type Conversation,
  type Message,
  type Prompt,
  type Segment,
  TextError,
  type Tokenizer,
} from './types.ts';

export async function encodeChat(tokenizer: Tokenizer, template: ChatTemplate, conversation: Conversation): Promise<Prompt> {
  return tokenizer.encodeSegments(renderSegments(template, conversation, tokenizer.specialStrings));
}

/**
 * Renders twice, with special strings inside messages broken: as is, and with marks around what comes from each message. Where
 * both agree, the second tells content from markup. Where they do not (the template looked at the first characters of a message,
 * say), the first is safe all the same, but no token is known to be a message's.
 */
export function renderSegments(
  template: ChatTemplate,
  conversation: Conversation,
  specialStrings: readonly string[],
): Segment[] {
  const { messages } = conversation;
  const texts = messages.flatMap(({ content, name = '' }) => [content, name]);
  const [breaker = '', mark = ''] = unusedCharacters(2, [...texts, ...specialStrings]);
  const marks = new RegExp(`${mark}(\\d*)${mark}`, 'g');
  const control = anyOf(specialStrings);
  const mend = mender(breaker);
  const split = (text: string, message: number) => attribute(splitMarkup(text, control), message, mend);

  const broken = messages.map((message) => mapTexts(message, breakerOf(specialStrings, breaker)));
  const plain = template.render({ ...conversation, messages: broken });
  const marked = renderMarked(template, { ...conversation, messages: broken }, mark);
  if (marked?.replace(marks, '') !== plain) return split(plain, -1);
  // Odd entries are what the marks hold: a message's number where its text begins, nothing where it ends.
  const parts = marked.split(marks);
  return parts.flatMap((text, i) => {
    if (i % 2 === 1) return [];
    const owner = parts[i - 1] ?? '';
    return split(text, owner === '' ? -1 : Number(owner));
  });
}

/** Text up to the first control token is the message's: messages hold none, so one after which no mark came shows where it ended. */
function attribute(segments: Segment[], message: number, mend: (text: string) => string): Segment[] {
  return segments.map(({ text, control }, i) => ({
    text: control ? text : mend(text),
    control,
    message: i === 0 ? message : -1,
  }));
}

/** null when the template does not take the marks. */
function renderMarked(template: ChatTemplate, conversation: Conversation, mark: string): string | null {
  const messages = conversation.messages.map((message, i) => mapTexts(message, (text) => marksAround(text, i, mark)));
  try {
    return template.render({ ...conversation, messages });
  } catch (error) {
    if (error instanceof TextError) return null;
    throw error;
  }
}

function mapTexts(message: Message, change: (text: string) => string): Message {
  const content = change(message.content);
  return message.name === undefined ? { ...message, content } : { ...message, content, name: change(message.name) };
}

/** Inside the outer whitespace, which templates trim; a blank text stays as it is, for templates ask whether there is any. */
function marksAround(text: string, message: number, mark: string): string {
  const core = text.trim();
  if (core === '') return text;
  const start = text.indexOf(core);
  const end = start + core.length;
  return `${text.slice(0, start)}${mark}${message}${mark}${core}${mark}${mark}${text.slice(end)}`;
}

/** Replaces the first character of every special string by its number between breakers. */
function breakerOf(specialStrings: readonly string[], breaker: string): (text: string) => string {
  const starts = new RegExp(`(?=${specialStrings.map(escapeRegExp).join('|')}).`, 'gsu');
  if (specialStrings.length === 0) return (text) => text;
  return (text) => text.replace(starts, (character) => `${breaker}${character.codePointAt(0)}${breaker}`);
}

function mender(breaker: string): (text: string) => string {
  const broken = new RegExp(`${breaker}(\\d+)${breaker}`, 'g');
  return (text) => text.replace(broken, (_, codePoint) => String.fromCodePoint(Number(codePoint)));
}
