import { expect, test } from 'vitest';
import { finish, MODEL, serve } from './program.ts';

const template = ['--chat-template', 'llama-2'];

test('a pipe: a line in, an answer out', async () => {
  const args = ['chat', MODEL, ...template, '--device', 'cpu', '--temperature', '0', '--max-tokens', '8'];
  const once = await finish(args, 'Hello\n');
  expect(once).toMatchObject({ code: 0, stderr: expect.any(String) });
  expect(once.stdout.trim()).not.toBe('');
  // After /reset the same question has the same answer: nothing of the conversation was kept.
  const twice = await finish(args, 'Hello\n/reset\nHello\n/exit\nnever read\n');
  expect(twice.stdout).toBe(once.stdout + once.stdout);
});

test('a server gives the answer that the engine in the process gives', async () => {
  const sampling = ['--temperature', '0', '--max-tokens', '8', '--system', 'Be brief.'];
  const { program, url } = await serve([MODEL, ...template]);
  const remote = await finish(['chat', '--url', url, ...sampling], 'Hello\nAgain\n');
  const local = await finish(['chat', MODEL, ...template, '--device', 'cpu', ...sampling], 'Hello\nAgain\n');
  expect(remote).toMatchObject({ code: 0, stderr: '', stdout: local.stdout });
  expect(program.lines.filter(({ msg, path }) => msg === 'request' && path === '/v1/chat/completions')).toHaveLength(2);
});

test('a model without a chat template is refused with a way out', async () => {
  const { code, stderr, stdout } = await finish(['chat', MODEL, '--device', 'cpu'], 'Hello\n');
  expect(stderr).toMatch(/gattling: This model has no chat template; .*--chat-template.*\n$/);
  expect([code, stdout]).toEqual([1, '']);
});

test('a server that is not there, an address that is none', async () => {
  const gone = await finish(['chat', '--url', 'http://127.0.0.1:9'], 'Hello\n');
  expect(gone.stderr).toMatch(
    /^gattling: http:\/\/127\.0\.0\.1:9\/v1\/models cannot be reached \(.*\); is the server running\?\n$/,
  );
  expect(gone.code).toBe(1);
  expect((await finish(['chat', '--url', 'localhost:8000'])).stderr).toMatch(
    /^gattling: --url must be an http or https address such as/,
  );
});

test('what a server refuses is told in its own words', async () => {
  const { url } = await serve();
  const { code, stderr } = await finish(['chat', '--url', url], 'Hello\n');
  expect(stderr).toMatch(/answered 400: .*chat template/);
  expect(code).toBe(1);
});
