import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type CompletionJson, finish, hasStories, post, root, serve, stories } from './program.ts';

test.skipIf(!hasStories)('a .gguf file tells the story that its folder of safetensors tells', async () => {
  const body = { prompt: 'Once upon a time', max_tokens: 60, temperature: 0, logprobs: 1 };
  const story = async (model: string, name: string) => {
    const { url, program } = await serve([model]);
    const answer = (await (await post(url, '/v1/completions', { ...body, model: name })).json()) as CompletionJson;
    program.child.kill('SIGTERM');
    expect(await program.exit).toBe(0);
    return answer;
  };
  const [file, folder] = [
    await story(join(stories, 'stories260K-f32.gguf'), 'stories260K-f32'),
    await story(stories, 'stories260K'),
  ];
  expect(file.choices[0]?.text).toHaveLength(folder.choices[0]?.text.length as number);
  expect(file.choices).toEqual(folder.choices);
  expect(file.usage).toEqual(folder.usage);
});

test('a .gguf file that cannot be served: one sentence that names it', async () => {
  const without = join(root, 'test/fixtures/gguf/llama.gguf');
  const { code, stderr } = await finish(['serve', without, '--port', '0'], '');
  expect(code).toBe(1);
  expect(stderr).toMatch(/^gattling: .*llama\.gguf .*\.\n$/);
  const absent = await finish(['serve', './nowhere.gguf', '--port', '0'], '');
  expect(absent).toMatchObject({ code: 1 });
  expect(absent.stderr).toMatch(
    /^gattling: Model ".*nowhere\.gguf" does not exist; give a \.gguf file, or a folder with .*\n$/,
  );
});

test('inspect prints metadata, tensors, types and memory', async () => {
  const flags = ['--device', 'cpu', '--max-model-len', '256', '--kv-cache-dtype', 'int8', '--kv-cache-memory', '1MiB'];
  const { code, stdout, stderr } = await finish(['inspect', 'test/fixtures/gguf/llama.gguf', ...flags], '');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^test\/fixtures\/gguf\/llama\.gguf: GGUF version 3, 27\.1 KiB, 10,180 parameters in 16 tensors\n/);
  expect(stdout).toMatch(/\ngeneral\.architecture +"llama"\n/);
  expect(stdout).toMatch(/\nblk\.0\.attn_q\.weight +BF16 +32 x 32 +2\.00 KiB\n/);
  expect(stdout).toMatch(/\nBF16 +3 +8\.00 KiB\n/);
  expect(stdout).toMatch(
    /\nMEMORY\nLlamaForCausalLM on cpu \(.*\), float16\nweights 19\.9 KiB, KV cache 1024 KiB \(int8, 48 B a token\)\n.* full-length sequences of 256\n$/,
  );
  const short = await finish(['inspect', 'test/fixtures/gguf/llama.gguf', '--device', 'cpu', '--kv-cache-memory', '100'], '');
  expect(short).toMatchObject({ code: 0, stdout: expect.stringMatching(/\nIt cannot be served: .*\n$/) });
  expect(await finish(['inspect', 'models/demo'], '')).toMatchObject({
    code: 1,
    stderr: 'gattling: "models/demo" is not a file; give a .gguf file.\n',
  });
});
