// Fields outside the schemas: what would change the output is refused, the rest is reported as ignored.
import type { TSchema } from 'typebox';
import { unsupported } from './errors.ts';
import { ChatMessage, ContentPart } from './schema.ts';

type Harmless = (value: unknown) => boolean;
interface Refusal {
  harmless: Harmless;
  accepted: string;
}

const absent: Harmless = (value) => value === null || value === undefined;
const emptyList: Harmless = (value) => absent(value) || (Array.isArray(value) && value.length === 0);
const oneOf =
  (...values: unknown[]): Harmless =>
  (value) =>
    absent(value) || values.includes(value);

const leaveOut: Refusal = { harmless: absent, accepted: 'leave it out' };
const noTools: Refusal = { harmless: emptyList, accepted: 'leave it out or send an empty array' };
const textFormat: Harmless = (value) => absent(value) || (value as { type?: unknown }).type === 'text';
const textOnly: Harmless = (value) => absent(value) || (Array.isArray(value) && value.length === 1 && value[0] === 'text');

const emptyObject: Harmless = (value) => absent(value) || (isObject(value) && Object.keys(value).length === 0);
/** Fields whose default is the one thing that this server does. */
const only = (value: unknown, ...names: string[]): [string, Refusal][] =>
  names.map((name) => [name, { harmless: oneOf(value), accepted: `leave it out or send ${value}` }]);

const constraints = [
  'allowed_token_ids bad_words chat_template grammar guided_choice guided_grammar guided_json guided_regex',
  'logits_processors prediction prompt_embeds structured_outputs truncate_prompt_tokens web_search_options audio',
];

/** A field that would change the output, and the values that would not. */
const refusals = new Map<string, Refusal>([
  ...constraints.flatMap((names) => names.split(' ')).map((name): [string, Refusal] => [name, leaveOut]),
  ['tools', noTools],
  ['functions', noTools],
  ['tool_choice', { harmless: oneOf('none', 'auto'), accepted: 'leave it out or send "none" or "auto"' }],
  ['function_call', { harmless: oneOf('none', 'auto'), accepted: 'leave it out or send "none" or "auto"' }],
  ['response_format', { harmless: textFormat, accepted: 'leave it out or send {"type": "text"}' }],
  ['modalities', { harmless: textOnly, accepted: 'leave it out or send ["text"]' }],
  ['suffix', { harmless: oneOf(''), accepted: 'leave it out' }],
  ['documents', noTools],
  ['chat_template_kwargs', { harmless: emptyObject, accepted: 'leave it out or send {}' }],
  ...only(true, 'add_generation_prompt', 'skip_special_tokens'),
  ...only(false, 'continue_final_message', 'include_stop_str_in_output', 'use_beam_search'),
  ...only(1, 'length_penalty'),
]);

const messageRefusals = new Map<string, Refusal>([
  ['tool_calls', noTools],
  ['function_call', leaveOut],
  ['audio', leaveOut],
]);

/** Throws on the first field that this server cannot honour; returns the names of those it did not look at, sorted. */
export function ignoredFields(schema: TSchema, body: Record<string, unknown>): string[] {
  const ignored = new Set<string>();
  review(body, schema, refusals, '', '', ignored);
  const { stream_options: options, messages } = body;
  if (isObject(options)) review(options, streamOptions, none, 'stream_options.', 'stream_options.', ignored);
  if (Array.isArray(messages) && knows(schema, 'messages')) reviewMessages(messages, ignored);
  return [...ignored].sort();
}

function reviewMessages(messages: readonly Record<string, unknown>[], ignored: Set<string>): void {
  messages.forEach((message, m) => {
    review(message, ChatMessage, messageRefusals, `messages.${m}.`, 'messages.', ignored);
    const { content } = message;
    if (!Array.isArray(content)) return;
    for (const part of content) review(part, ContentPart, none, '', 'messages.content.', ignored);
  });
}

const none = new Map<string, Refusal>();
const streamOptions = { properties: { include_usage: true, include_obfuscation: true } };
/** A hostile body can have a million names; enough is enough. */
const maxIgnored = 64;

/** `path` names the place in an error, `label` in the report (messages are not told apart there). */
function review(
  value: Record<string, unknown>,
  schema: TSchema,
  refused: ReadonlyMap<string, Refusal>,
  path: string,
  label: string,
  ignored: Set<string>,
): void {
  for (const [name, { harmless, accepted }] of refused) {
    if (knows(schema, name)) continue;
    if (Object.hasOwn(value, name) && !harmless(value[name])) throw unsupported(path + name, accepted);
  }
  for (const key in value) {
    if (ignored.size === maxIgnored) return;
    if (!knows(schema, key) && !refused.has(key) && !absent(value[key])) ignored.add(label + key);
  }
}

const knows = (schema: TSchema, name: string) => Object.hasOwn((schema as { properties: object }).properties, name);

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

const maxNameLength = 64;
const maxHeaderLength = 1024;

/** Names are the client's text: only header-safe characters, and a bounded length that ends in "..." when cut. */
export function ignoredHeader(names: readonly string[]): string {
  let header = '';
  for (const name of names) {
    const safe = name.slice(0, maxNameLength).replace(/[^A-Za-z0-9_.-]/g, '?') || '?';
    if (header.length + safe.length > maxHeaderLength) return `${header},...`;
    header += (header === '' ? '' : ',') + safe;
  }
  return header;
}
