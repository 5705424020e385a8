import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Environment, hubSettings, readToken } from '../../../src/hub/settings.ts';
import { temporary } from '../../temporary.ts';

const at = (env: Environment) => hubSettings({ HOME: '/home/me', ...env });

test('nothing set', () => {
  expect(at({})).toEqual({
    endpoint: 'https://huggingface.co',
    cache: '/home/me/.cache/huggingface/hub',
    offline: false,
    token: null,
    tokenFile: '/home/me/.cache/huggingface/token',
  });
});

test.each([
  [{ XDG_CACHE_HOME: '/x' }, '/x/huggingface/hub', '/x/huggingface/token'],
  [{ XDG_CACHE_HOME: '/x', HF_HOME: '/h' }, '/h/hub', '/h/token'],
  [{ HF_HOME: '~/h' }, '/home/me/h/hub', '/home/me/h/token'],
  [{ HF_HOME: '/h', HUGGINGFACE_HUB_CACHE: '/old' }, '/old', '/h/token'],
  [{ HF_HOME: '/h', HUGGINGFACE_HUB_CACHE: '/old', HF_HUB_CACHE: '~/c' }, '/home/me/c', '/h/token'],
  [{ HF_HOME: '', HF_TOKEN_PATH: '/t' }, '/home/me/.cache/huggingface/hub', '/t'],
])('%j', (env, cache, tokenFile) => expect(at(env)).toMatchObject({ cache, tokenFile }));

test.each([
  [{ HF_HUB_OFFLINE: '1' }, true],
  [{ HF_HUB_OFFLINE: 'yes' }, true],
  [{ TRANSFORMERS_OFFLINE: 'True' }, true],
  [{ HF_HUB_OFFLINE: '0' }, false],
  [{ HF_HUB_OFFLINE: 'no', TRANSFORMERS_OFFLINE: '1' }, false],
])('%j: offline is %s', (env, offline) => expect(at(env).offline).toBe(offline));

test('another Hub', () => {
  expect(at({ HF_ENDPOINT: 'http://hub.local:8080/hf//' }).endpoint).toBe('http://hub.local:8080/hf');
  for (const HF_ENDPOINT of ['hub.local', 'ftp://hub', 'https://'])
    expect(() => at({ HF_ENDPOINT })).toThrow(/^HF_ENDPOINT must be the address of a Hugging Face Hub such as .*, not "/);
});

test('the token: environment before file, blanks and line ends off', async () => {
  const HF_HOME = temporary();
  expect(await readToken(at({ HF_HOME }))).toBeNull();
  writeFileSync(join(HF_HOME, 'token'), ' of-file\r\n');
  expect(await readToken(at({ HF_HOME }))).toBe('of-file');
  expect(await readToken(at({ HF_HOME, HUGGING_FACE_HUB_TOKEN: 'old' }))).toBe('old');
  expect(await readToken(at({ HF_HOME, HUGGING_FACE_HUB_TOKEN: 'old', HF_TOKEN: ' new\n' }))).toBe('new');
  writeFileSync(join(HF_HOME, 'token'), '\n');
  expect(await readToken(at({ HF_HOME, HF_TOKEN: ' ' }))).toBeNull();
  mkdirSync(join(HF_HOME, 'folder'));
  await expect(readToken(at({ HF_TOKEN_PATH: join(HF_HOME, 'folder') }))).rejects.toThrow(
    /^The token file .*folder cannot be read \(EISDIR.*\); mend it, or set HF_TOKEN\.$/,
  );
});
