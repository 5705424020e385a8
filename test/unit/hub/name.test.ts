import { expect, test } from 'vitest';
import { isSafePath, parseName, titleOf } from '../../../src/hub/name.ts';

test.each([
  ['TinyLlama/TinyLlama-1.1B-Chat-v1.0', 'TinyLlama/TinyLlama-1.1B-Chat-v1.0', null, null],
  ['org/repo@main', 'org/repo', 'main', null],
  ['org/repo@refs/pr/7', 'org/repo', 'refs/pr/7', null],
  ['org/repo:Q4_K_M', 'org/repo', null, 'Q4_K_M'],
  ['org/repo:Q4_K_M@v1.0', 'org/repo', 'v1.0', 'Q4_K_M'],
  ['org/repo@v1.0:Q4_K_M', 'org/repo', 'v1.0', 'Q4_K_M'],
  ['org/repo:sub/model.gguf', 'org/repo', null, 'sub/model.gguf'],
  ['_o/r_', '_o/r_', null, null],
])('%s', (text, repo, revision, tag) => expect(parseName(text)).toEqual({ repo, revision, tag }));

test.each([
  'repo',
  'a/b/c',
  './org/repo',
  '../repo',
  '/org/repo',
  'org/',
  '/repo',
  'org/.repo',
  'org/repo-',
  'org--x/repo',
  'org/re..po',
  'org/repo.git',
  'org/re po',
  'org\\repo',
  'org/re\0po',
  'https://huggingface.co/org/repo',
  `org/${'x'.repeat(93)}`,
  'org/repo@',
  'org/repo:',
  'org/repo@../x',
  'org/repo@/x',
  'org/repo@a//b',
  'org/repo@x.lock',
  'org/repo@a b',
  'org/repo@a\\b',
  'org/repo@v1@v2',
  'org/repo:Q4:Q5',
  'org/repo:a/b',
  'org/repo:../x.gguf',
  'org/repo:/x.gguf',
  '',
])('%j names no repository', (text) => expect(parseName(text)).toBeNull());

test('the name to serve under is what was typed, without the revision', () => {
  const title = (text: string) => titleOf(parseName(text) ?? expect.unreachable());
  expect(title('org/repo@main')).toBe('org/repo');
  expect(title('org/repo@main:q4_k_m')).toBe('org/repo:q4_k_m');
});

test.each(['a', 'a/b.json', '…/ü', '.hidden', 'a..b', '~', 'C:x'])('%j is a path below', (path) => {
  expect(isSafePath(path)).toBe(true);
});

test.each([
  '',
  '/',
  '/a',
  'a/',
  'a//b',
  '.',
  '..',
  'a/./b',
  'a/../b',
  'a\\b',
  'a\0',
  'a\x1b[2J',
  'a\x85',
  'a\u2028',
  'é'.repeat(128),
  7,
  null,
])('%j is not', (path) => expect(isSafePath(path)).toBe(false));
