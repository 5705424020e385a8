import { describe, expect, test } from 'vitest';
import { fakeHub, isLarge, type Repo } from './fake-hub.ts';
import { COMMIT, listing, model, REPO, rig } from './rig.ts';

describe('what is not there', () => {
  const without = async (files: Repo['files'], text = REPO) => {
    const hub = await fakeHub({ [REPO]: { commit: COMMIT, files } });
    const { pull, root } = rig(hub);
    const error: Error = await pull(text).then(
      () => expect.unreachable(),
      (reason) => reason,
    );
    expect(listing(root).filter((file) => isLarge(file))).toEqual([]);
    return error.message;
  };
  const { 'config.json': config = '', 'tokenizer.json': tokenizer = '', ...rest } = model.files;

  test('weights as pickles only', async () => {
    expect(await without({ 'config.json': config, 'tokenizer.json': tokenizer, 'pytorch_model.bin': 'x' })).toMatch(
      /^"org\/model" has its weights as pytorch_model\.bin only, a pickle file, which can run code when it is read; choose a repository/,
    );
  });

  test('no weights', async () => {
    expect(await without({ 'README.md': '' })).toMatch(
      /^"org\/model" has no weights that can be served: neither model\.safetensors, nor/,
    );
  });

  test('no config, no tokenizer', async () => {
    expect(await without({ ...rest, 'tokenizer.json': tokenizer })).toMatch(
      /^"org\/model" has no config\.json beside its weights/,
    );
    const { 'tokenizer.model': pieces, ...bare } = rest;
    expect(pieces).toBeDefined();
    expect(await without({ ...bare, 'config.json': config })).toMatch(
      /^"org\/model" has no tokenizer: tokenizer\.json or tokenizer\.model/,
    );
  });

  test.each(['{', '[]', 'null', '{"weight_map": 3}'])('an index that is %s', async (text) => {
    const files = { ...model.files, 'model.safetensors.index.json': text };
    expect(await without(files)).toMatch(/^"org\/model" has a model\.safetensors\.index\.json without a "weight_map"/);
  });

  test('a shard that the index names', async () => {
    const { 'model-2.safetensors': shard2, ...files } = model.files;
    expect(shard2).toBeDefined();
    expect(await without(files)).toBe('"org/model" lacks model-2.safetensors, which its model.safetensors.index.json names.');
  });

  const ggufs = (...names: string[]) => Object.fromEntries(names.map((each) => [each, each]));
  const many = ggufs(
    'm.Q2_K.gguf',
    'm.Q3_K_L.gguf',
    'm.Q4_0.gguf',
    'm.Q4_K_S.gguf',
    'm.Q8_0.gguf',
    'm.f16.gguf',
    'mmproj-f32.gguf',
  );

  test('a quantisation: the nearest are named', async () => {
    expect(await without(many, `${REPO}:Q4_K_M`)).toBe(
      '"org/model" has no Q4_K_M; the nearest that it has: Q4_K_S, Q4_0, Q3_K_L, Q2_K, Q8_0, F16.',
    );
  });

  test('none named, none that is usual', async () => {
    expect(await without(many)).toMatch(
      /^"org\/model" has several GGUF files; name one behind a colon, "org\/model:Q2_K": Q4_K_S, Q4_0/,
    );
  });

  test('a quantisation of a repository that has none', async () => {
    expect(await without(model.files, `${REPO}:Q4_K_M`)).toBe(
      '"org/model" has no GGUF files, so ":Q4_K_M" is none of them; leave it out.',
    );
  });

  test('two files of one quantisation', async () => {
    expect(await without(ggufs('a-Q4_0.gguf', 'b-Q4_0.gguf'), `${REPO}:Q4_0`)).toBe(
      '"org/model" has several files of Q4_0; name one of them: :a-Q4_0.gguf, :b-Q4_0.gguf.',
    );
  });

  test('a part of a split file', async () => {
    expect(await without(ggufs('a-Q4_0-00001-of-00003.gguf', 'a-Q4_0-00003-of-00003.gguf'), `${REPO}:Q4_0`)).toMatch(
      /^"org\/model" lacks some parts of a-Q4_0-00001-of-00003\.gguf/,
    );
  });
});
