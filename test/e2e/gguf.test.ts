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
