// The conversation of `gattling chat`: a line in, an answer streamed out. A pipe works as a terminal does, without prompts.
import { createInterface } from 'node:readline';
import type { Message } from '../text/types.ts';
import type { Answerer } from './answerers.ts';
import type { Io } from './io.ts';

// C0 and C1 control characters but tab and newline, and DEL: what a model or a server writes must not drive the terminal.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

class Conversation {
  readonly #answerer: Answerer;
  readonly #io: Io;
  readonly #opening: Message[];
  #messages: Message[];
  #current: AbortController | null = null;
  failed = false;

  constructor(answerer: Answerer, io: Io, system: string | undefined) {
    this.#answerer = answerer;
    this.#io = io;
    this.#opening = system === undefined ? [] : [{ role: 'system', content: system }];
    this.#messages = [...this.#opening];
  }

  reset(): void {
    this.#messages = [...this.#opening];
  }

  /** False when nothing was being answered, or the answer was stopped already. */
  stop(): boolean {
    if (!this.#current || this.#current.signal.aborted) return false;
    this.#current.abort();
    return true;
  }

  async say(line: string): Promise<void> {
    const messages: Message[] = [...this.#messages, { role: 'user', content: line }];
    const content = await this.#answer(messages);
    // A question without any answer is forgotten, so that roles keep alternating.
    if (content !== '') this.#messages = [...messages, { role: 'assistant', content }];
  }

  async #answer(messages: Message[]): Promise<string> {
    const { stdout, stderr } = this.#io;
    this.#current = new AbortController();
    const { signal } = this.#current;
    let content = '';
    try {
      for await (const text of this.#answerer.answer(messages, signal)) {
        content += text;
        stdout.write(stdout.isTTY ? text.replace(CONTROLS, '') : text);
      }
    } catch (error) {
      if (!signal.aborted) {
        this.failed = true;
        stderr.write(`\ngattling: ${(error as Error).message.replace(CONTROLS, '')}`);
      }
    } finally {
      this.#current = null;
      stdout.write('\n');
    }
    return content;
  }
}

/** Resolves to the exit code: 1 when an answer failed and nobody sat there to see it. */
export async function converse(answerer: Answerer, io: Io, system: string | undefined): Promise<number> {
  const { stdin, stdout, stderr } = io;
  const terminal = stdin.isTTY === true && stdout.isTTY === true;
  const conversation = new Conversation(answerer, io, system);
  const lines = createInterface({ input: stdin, ...(terminal ? { output: stdout, terminal } : {}), prompt: '> ' });
  let warned = false;
  let leaving = false;
  const leave = () => {
    leaving = true;
    conversation.stop();
    lines.close();
  };
  const interrupt = () => {
    if (conversation.stop()) return;
    if (!terminal || warned) return leave();
    warned = true;
    stdout.write('\n(Ctrl-C again or /exit leaves)\n');
    lines.prompt();
  };
  const release = io.onSignal((signal) => (signal === 'SIGTERM' ? leave() : interrupt()));
  lines.on('SIGINT', interrupt);
  if (terminal) lines.prompt();
  try {
    for await (const line of lines) {
      const text = line.trim();
      warned = false;
      if (leaving || text === '/exit') break;
      if (text === '/reset') conversation.reset();
      else if (/^\/[a-z]+$/.test(text)) stderr.write(`Unknown command ${text}; known are /exit and /reset.\n`);
      else if (text !== '') await conversation.say(text);
      if (leaving) break;
      if (terminal) lines.prompt();
    }
  } finally {
    release();
    lines.close();
  }
  return conversation.failed && !terminal ? 1 : 0;
}
