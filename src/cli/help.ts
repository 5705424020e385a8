// Help text, generated from the schemas: nothing here knows a flag by name.
import type { TObject } from 'typebox';
import { type Field, fieldsOf } from './fields.ts';

const WIDTH = 100;
const INDENT = 8;

/** Lines of at most WIDTH columns, each after `indent` spaces. */
export function wrap(text: string, indent: number): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && indent + line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line].map((each) => ' '.repeat(indent) + each).join('\n');
}

function heading(field: Field): string {
  if (field.positional) return `  ${field.placeholder}`;
  if (field.type === 'boolean') return `  --${field.flag}, --no-${field.flag}`;
  const value = field.placeholder ?? field.enum?.join('|');
  return `  --${field.flag} ${value}${field.type === 'array' ? ' (repeatable)' : ''}`;
}

function entry(field: Field): string {
  const { default: standard, env, description, required } = field;
  const shown = standard === undefined || (Array.isArray(standard) && standard.length === 0) ? '' : ` Default: ${standard}.`;
  const lists = field.type === 'array' ? ', separated by commas' : '';
  const need = required && standard === undefined ? ' Required.' : '';
  return `${heading(field)}\n${wrap(`${description}${shown}${need} [${env}${lists}]`, INDENT)}`;
}

export interface HelpTopic {
  /** "serve", with what follows it: "gattling serve [MODEL] [flags]" */
  usage: string;
  summary: string;
  schema: TObject;
}

export function commandHelp({ usage, summary, schema }: HelpTopic): string {
  const fields = fieldsOf(schema);
  const section = (title: string, some: Field[]) => (some.length === 0 ? [] : [`${title}\n${some.map(entry).join('\n')}`]);
  return [
    `Usage: ${usage}`,
    wrap(summary, 0),
    ...section(
      'Arguments:',
      fields.filter((field) => field.positional),
    ),
    ...section(
      'Flags (a flag wins over the environment, that over --config, that over the default):',
      fields.filter((field) => !field.positional),
    ),
    `Others:\n  -h, --help\n${wrap('Show this text.', INDENT)}\n  --version\n${wrap('Show the version.', INDENT)}\n`,
  ].join('\n\n');
}

export function overview(topics: readonly HelpTopic[]): string {
  const commands = topics.map(({ usage, summary }) => `  ${usage}\n${wrap(summary, INDENT)}`).join('\n');
  const notes = '"serve" may be left out: gattling MODEL. Each command explains its flags: gattling serve --help.';
  return `Gattling serves Llama-family models over the OpenAI API.\n\nCommands:\n${commands}\n\n${wrap(notes, 0)}\n`;
}
