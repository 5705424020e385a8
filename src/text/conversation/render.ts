// Turns through a template. Content is data: no string in it becomes a control token, whatever the template does with it.
import { unusedCharacters } from '../private-use.ts';
import { anyOf, escapeRegExp, splitMarkup } from '../segments.ts';
import { type ChatTemplate, type Conversation, type Message, type Segment, TextError, type Turn } from '../types.ts';
import { textOf } from './turns.ts';

type Ending = Pick<Conversation, 'addGenerationPrompt' | 'continueFinalMessage'>;

/**
 * Renders twice, with special strings inside messages broken: as is, and with marks around what comes from each message. Where
 * both agree, the second tells content from markup. Where they do not (the template looked at the first characters of a message,
 * say), the first is safe all the same, but no token is known to be a message's.
 */
export function renderSegments(
  template: ChatTemplate,
  turns: readonly Turn[],
  ending: Ending,
  specialStrings: readonly string[],
): Segment[] {
  const texts = turns.flatMap((turn) => [...turn.pieces.map(({ text }) => text), turn.name ?? '']);
  const [breaker = '', mark = '', end = ''] = unusedCharacters(3, [...new Set([...texts, ...specialStrings])]);
  const marks = new RegExp(`${mark}(\\d*)${mark}`, 'g');
  const control = anyOf(specialStrings);
  const mend = mender(breaker);
  const split = (text: string, message: number) => attribute(splitMarkup(text, control), message, mend);

  const broken = turns.map((turn) => mapTexts(turn, breakerOf(specialStrings, breaker)));
  const render = (write: (turn: Turn) => Message) => renderTo(template, broken.map(write), ending, end);
  const plain = render((turn) => toMessage(turn, textOf(turn), turn.name));
  const marked = unlessRefused(() => render((turn) => markedMessage(turn, mark)));
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

/**
 * A message to be continued ends the prompt, as in apply_chat_template of transformers: an end mark and a space are added to its
 * text, and the prompt is cut there. Where the template trims, the space is gone, and so must be the text's own before the mark.
 * (transformers takes the template's whitespace too when the text is blank, which leaves a header that no model has seen.)
 */
function renderTo(template: ChatTemplate, messages: Message[], ending: Ending, end: string): string {
  const { addGenerationPrompt, continueFinalMessage } = ending;
  const last = messages.at(-1);
  if (!continueFinalMessage || last === undefined) return template.render({ messages, addGenerationPrompt });
  const marked = { ...last, content: `${last.content}${end} ` };
  const prompt = template.render({ messages: [...messages.slice(0, -1), marked], addGenerationPrompt });
  const at = prompt.lastIndexOf(end);
  if (at < 0) throw new TextError('The chat template leaves out the last message, so that it cannot be continued.');
  const cut = prompt.slice(0, at);
  return prompt[at + 1] === ' ' || last.content.trim() === '' ? cut : cut.trimEnd();
}

/** null when the template does not take the marks. */
function unlessRefused(render: () => string): string | null {
  try {
    return render();
  } catch (error) {
    if (error instanceof TextError) return null;
    throw error;
  }
}

function mapTexts({ pieces, ...turn }: Turn, change: (text: string) => string): Turn {
  const changed = pieces.map(({ text, message }) => ({ text: change(text), message }));
  return turn.name === undefined ? { ...turn, pieces: changed } : { ...turn, pieces: changed, name: change(turn.name) };
}

const toMessage = ({ role }: Turn, content: string, name: string | undefined): Message =>
  name === undefined ? { role, content } : { role, content, name };

/** The name is the first message's. */
function markedMessage(turn: Turn, mark: string): Message {
  const owner = turn.pieces.find(({ message }) => message >= 0)?.message ?? -1;
  const name = turn.name && markedText({ ...turn, pieces: [{ text: turn.name, message: owner }] }, mark);
  return toMessage(turn, markedText(turn, mark), name);
}

/** Inside the turn's outer whitespace, which templates trim; a blank text stays as it is, for templates ask whether there is any. */
function markedText(turn: Turn, mark: string): string {
  const whole = textOf(turn);
  const start = whole.length - whole.trimStart().length;
  const end = whole.trimEnd().length;
  let at = 0;
  return turn.pieces
    .map(({ text, message }) => {
      const from = Math.min(Math.max(start - at, 0), text.length);
      const to = Math.max(Math.min(end - at, text.length), from);
      at += text.length;
      if (from === to || message < 0) return text;
      return `${text.slice(0, from)}${mark}${message}${mark}${text.slice(from, to)}${mark}${mark}${text.slice(to)}`;
    })
    .join('');
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
