// Server-sent events of one response, from a template: a chunk costs one JSON.stringify of its text.
import { randomBytes } from 'node:crypto';
import type { Envelope, StreamOptions, Usage } from './wire.ts';

/** The fields that every object of a response starts with, in the order of OpenAI's. */
export const header = (object: string, { id, created, model, fingerprint }: Envelope) => ({
  id,
  object,
  created,
  model,
  system_fingerprint: fingerprint,
});

export class EventTemplate {
  readonly #head: string;
  readonly #tail: string;
  readonly #obfuscate: boolean;

  constructor(object: string, envelope: Envelope, stream: StreamOptions | null) {
    this.#head = `data: ${JSON.stringify(header(object, envelope)).slice(0, -1)},"choices":[`;
    // With include_usage every chunk has the field, and only the last one a value.
    this.#tail = stream?.includeUsage ? ',"usage":null' : '';
    this.#obfuscate = stream?.obfuscate ?? false;
  }

  /** `choice` is JSON; `text` is what of it depends on the tokens. */
  chunk(choice: string, text: string): string {
    const pad = this.#obfuscate ? `,"obfuscation":"${padding(text)}"` : '';
    return `${this.#head}${choice}]${this.#tail}${pad}}\n\n`;
  }

  usage(usage: Usage): string {
    return `${this.#head}],"usage":${JSON.stringify(usage)}}\n\n`;
  }
}

const unit = 32;

/** Random text of 1 to 32 characters that brings the chunk's text to a multiple of 32. */
function padding(text: string): string {
  if (pool.length < poolStart + unit) {
    pool = randomBytes(3072).toString('base64url');
    poolStart = 0;
  }
  const start = poolStart;
  poolStart += unit - (text.length % unit);
  return pool.slice(start, poolStart);
}
let pool = '';
let poolStart = 0;
