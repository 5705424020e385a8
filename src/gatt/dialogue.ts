// The dialogues to sample over: JSON Lines of {"messages": [{"role", "content"}, ...]}, read into turns.
import { TextError } from '../text/types.ts';

export interface Turn {
  user: string;
  /** The answer that the file has; null when it lists user turns only. */
  answer: string | null;
}

export interface Dialogue {
  /** Counted from 1, empty lines too. */
  line: number;
  turns: Turn[];
}

const EXAMPLE = '{"messages": [{"role": "user", "content": "..."}]}';

type Fields = Record<string, unknown>;
const isObject = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value);

function parseLine(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new TextError(`is not JSON (${(error as Error).message}); it must be one object such as ${EXAMPLE}.`);
  }
}

function addMessage(turns: Turn[], message: unknown, at: string): void {
  if (!isObject(message)) throw new TextError(`${at} must be an object with role and content.`);
  const { role, content } = message;
  if (role === 'system' || role === 'developer')
    throw new TextError(`${at} is a ${role} message, whose place the instruction takes; leave it out.`);
  if (role !== 'user' && role !== 'assistant')
    throw new TextError(`${at}.role must be user or assistant, not ${JSON.stringify(role)}.`);
  if (typeof content !== 'string' || content === '') throw new TextError(`${at}.content must be a text that is not empty.`);
  const last = turns.at(-1);
  if (role === 'user') turns.push({ user: content, answer: null });
  else if (last && last.answer === null) last.answer = content;
  else throw new TextError(`${at} is an assistant message that follows no user message; each must answer one.`);
}

function turnsOf(value: unknown): Turn[] {
  if (!isObject(value) || !Array.isArray(value['messages']))
    throw new TextError(`has no list of messages; it must be one object such as ${EXAMPLE}.`);
  const turns: Turn[] = [];
  value['messages'].forEach((message, i) => {
    addMessage(turns, message, `messages[${i}]`);
  });
  if (turns.length === 0) throw new TextError(`has no user message; it must have one, as in ${EXAMPLE}.`);
  return turns;
}

/** `name` is the file's, for what is said about its lines. */
export function parseDialogues(text: string, name: string): Dialogue[] {
  const dialogues: Dialogue[] = [];
  for (const [index, content] of text.split('\n').entries()) {
    if (content.trim() === '') continue;
    try {
      dialogues.push({ line: index + 1, turns: turnsOf(parseLine(content)) });
    } catch (error) {
      throw error instanceof TextError ? new TextError(`${name} line ${index + 1}: ${error.message}`) : error;
    }
  }
  if (dialogues.length === 0) throw new TextError(`${name} holds no dialogue; give one a line, such as ${EXAMPLE}.`);
  return dialogues;
}
