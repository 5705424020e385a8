import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { locateModel, resolveModel } from '../../../src/models/resolve.ts';
import { temporary } from '../../temporary.ts';

function folder(files: Record<string, string>): string {
  const path = join(temporary(), 'my-model');
  mkdirSync(path);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
  return path;
}

const whole = { 'config.json': '{"eos_token_id": 2}', 'model.safetensors': '', 'tokenizer.json': '{}' };

test('a whole folder', async () => {
  const path = folder(whole);
  expect(await resolveModel(path)).toEqual({ path, name: 'my-model', generation: { eosIds: [2], sampling: {} } });
});

test('shards', async () => {
  const index = {
    'model.safetensors.index.json': '{"weight_map": {"a": "s-1.safetensors", "b": "s-2.safetensors"}}',
    'model.safetensors': '',
  };
  await expect(resolveModel(folder({ ...whole, ...index, 's-1.safetensors': '' }))).rejects.toThrow(
    /lacks s-2\.safetensors, which its/,
  );
  const complete = folder({ ...whole, ...index, 's-1.safetensors': '', 's-2.safetensors': '' });
  expect((await resolveModel(complete)).name).toBe('my-model');
});

describe('what is missing is named', () => {
  const without = (name: keyof typeof whole) => Object.fromEntries(Object.entries(whole).filter(([key]) => key !== name));
  test.each([
    [
      'no config',
      without('config.json'),
      /has no config\.json; give a \.gguf file, or a folder with config\.json, \*\.safetensors/,
    ],
    ['no weights', without('model.safetensors'), /has no weights: model\.safetensors, or/],
    ['no tokenizer', without('tokenizer.json'), /has no tokenizer: tokenizer\.json or tokenizer\.model must be there/],
    [
      'pickle',
      { ...without('model.safetensors'), 'pytorch_model.bin': '' },
      /as pytorch_model\.bin, a pickle file, .* convert it to safetensors/,
    ],
    ['broken config', { ...whole, 'config.json': '{' }, /config\.json must be a JSON file that can be read/],
    ['a list as config', { ...whole, 'config.json': '[]' }, /config\.json must hold one JSON object/],
    ['index without map', { ...whole, 'model.safetensors.index.json': '{}' }, /must have a "weight_map"/],
  ])('%s', async (_name, files, message) => {
    await expect(resolveModel(folder(files))).rejects.toThrow(message);
  });

  test('no folder, or a file', async () => {
    await expect(resolveModel('/nowhere/model')).rejects.toThrow(
      /^Model "\/nowhere\/model" does not exist; give a \.gguf file/,
    );
    const path = folder(whole);
    await expect(resolveModel(join(path, 'model.safetensors'))).rejects.toThrow(
      /is a file; give the folder that it lies in\.$/,
    );
  });
});

describe('what a model argument is', () => {
  const hub = async ({ repo, revision, tag }: { repo: string; revision: string | null; tag: string | null }) =>
    `fetched ${repo} ${revision} ${tag}`;

  test('a name of the Hub, to be served without its revision', async () => {
    expect(await locateModel('org/repo@v1', hub)).toEqual({ path: 'fetched org/repo v1 null', name: 'org/repo' });
    expect(await locateModel('org/repo:Q4_K_M', hub)).toEqual({
      path: 'fetched org/repo null Q4_K_M',
      name: 'org/repo:Q4_K_M',
    });
  });

  test('a path where there is one, however it looks', async () => {
    const path = folder(whole);
    expect(await locateModel(path, hub)).toEqual({ path, name: 'my-model' });
    expect(await locateModel('src/models', hub)).toEqual({ path: resolve('src/models'), name: 'models' });
    expect((await locateModel('src/nothing', hub)).path).toBe('fetched src/nothing null null');
  });

  test.each(['./org/repo', '../repo', '/org/repo', 'repo', 'a/b/c', 'https://huggingface.co/org/repo'])(
    '%s is a path, there or not',
    async (text) => expect((await locateModel(text, hub)).path).toBe(resolve(text)),
  );

  test('the folder of a fetched one is served under its name', async () => {
    const path = folder(whole);
    expect(await resolveModel(path, 'org/repo')).toMatchObject({ path, name: 'org/repo' });
  });
});

describe('generation', () => {
  const generation = async (text: string, config = '{"eos_token_id": 2}') =>
    (await resolveModel(folder({ ...whole, 'config.json': config, 'generation_config.json': text }))).generation;

  test('end-of-sequence ids: a list, a number, or those of config.json', async () => {
    expect((await generation('{"eos_token_id": [128001, 128009]}')).eosIds).toEqual([128001, 128009]);
    expect((await generation('{"eos_token_id": 5}')).eosIds).toEqual([5]);
    expect((await generation('{}')).eosIds).toEqual([2]);
    expect((await generation('{"eos_token_id": null}', '{"eos_token_id": [3, 4]}')).eosIds).toEqual([3, 4]);
    expect((await generation('{}', '{}')).eosIds).toEqual([]);
    await expect(generation('{"eos_token_id": "x"}')).rejects.toThrow(/generation_config\.json must have a token id or a list/);
  });

  test('sampling defaults hold whether or not do_sample is set', async () => {
    const text = '{"temperature": 0.6, "top_p": 0.9, "top_k": 50, "repetition_penalty": 1.1, "do_sample": false}';
    expect((await generation(text)).sampling).toEqual({ temperature: 0.6, topP: 0.9, topK: 50, repetitionPenalty: 1.1 });
    expect((await generation('{"top_k": -1}')).sampling).toEqual({ topK: 0 });
    expect((await generation('{"top_p": null}')).sampling).toEqual({});
    await expect(generation('{"top_p": 1.5}')).rejects.toThrow(/must have a number above 0, at most 1 as "top_p", not 1\.5\./);
    await expect(generation('{"top_k": 1.5}')).rejects.toThrow(/must have a whole number, 0 for off as "top_k"/);
  });
});
