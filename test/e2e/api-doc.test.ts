// The answers printed in docs/api.md are what the server that it names gives, in the order of the page.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { post, root, serve } from './program.ts';

const page = readFileSync(join(root, 'docs/api.md'), 'utf8');
const [, command = ''] = /^npm start -- (.*)$/m.exec(page) ?? [];
const examples = [
  ...page.matchAll(/^```sh\ncurl http:\/\/127\.0\.0\.1:8000(\S+).*\n {2}-d '(.*)'\n```\n```\w*\n([\s\S]*?)^```$/gm),
];

/** What differs from run to run is left out; arithmetic units agree to some digits. */
function comparable(json: string): unknown {
  return JSON.parse(json, (key, value) => {
    if (['id', 'created', 'system_fingerprint'].includes(key)) return typeof value;
    return typeof value === 'number' ? Math.round(value * 100) / 100 : value;
  });
}

/** A stream's events, the texts that follow each other joined: how many chunks they are is a matter of time. */
function events(stream: string): unknown[] {
  const joined = stream.replace(/"content":"([^"]+)"\}.*\n\n(?:data: .*"content":"([^"]+)"\}.*\n\n)+/g, (match) => {
    const texts = [...match.matchAll(/"content":"([^"]+)"/g)].map(([, text]) => text);
    return match.slice(0, match.indexOf('\n\n') + 2).replace(/"content":"[^"]+"/, `"content":"${texts.join('')}"`);
  });
  const data = joined.split('\n\n').filter((event) => event.trim() !== '');
  return data.map((event) => (event === 'data: [DONE]' ? event : comparable(event.slice('data: '.length))));
}

test('every example of the page', async () => {
  expect(examples).toHaveLength(8);
  const { url } = await serve(command.split(' '));
  for (const [, path = '', body = '', answer = ''] of examples) {
    const got = await (await post(url, path, JSON.parse(body))).text();
    if (answer.startsWith('data: ')) expect(events(got)).toEqual(events(answer));
    else expect(comparable(got)).toEqual(comparable(answer));
  }
});
