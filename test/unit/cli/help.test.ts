import { expect, test } from 'vitest';
import { fieldsOf } from '../../../src/cli/fields.ts';
import { commandHelp, overview } from '../../../src/cli/help.ts';
import { commands } from '../../../src/cli/run.ts';

const topics = Object.values(commands);

test.each(topics)('help of "$usage" names every flag, its environment variable and default', (topic) => {
  const help = commandHelp(topic).replace(/\s+/g, ' '); // lines break anywhere
  for (const field of fieldsOf(topic.schema)) {
    expect(help).toContain(field.positional ? field.placeholder : `--${field.flag}`);
    expect(help).toContain(field.env);
    if (field.type === 'boolean') expect(help).toContain(`--no-${field.flag}`);
    if (typeof field.default === 'number' || typeof field.default === 'string')
      expect(help).toContain(`Default: ${field.default}.`);
  }
});

test.each(topics)('help of "$usage" is at most 100 columns wide', (topic) => {
  for (const line of `${commandHelp(topic)}${overview(topics)}`.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
});

test('the overview names every command', () => {
  for (const topic of topics) expect(overview(topics)).toContain(topic.usage);
});
