import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { commitNumber, type FakeHub, fakeHub } from '../unit/hub/fake-hub.ts';
import { type CompletionJson, finish, MODEL, post, serve, temporary } from './program.ts';

const REPO = 'gattling/mha-rope10k';
const files = Object.fromEntries(readdirSync(MODEL).map((file) => [file, readFileSync(join(MODEL, file))]));

const home = ({ url }: FakeHub): Record<string, string> => ({
  HF_ENDPOINT: url,
  HF_HOME: temporary(),
  HF_HUB_CACHE: '',
  HF_HUB_OFFLINE: '',
  HF_TOKEN: '',
});

test('a model by name: fetched over a cut, served, served again without the Hub, listed, deleted', async () => {
  const hub = await fakeHub({ [REPO]: { commit: commitNumber(7), files } }, ({ from }, before) =>
    from === 'cdn' && before === 0 ? { cut: 5000 } : undefined,
  );
  const env = home(hub);
  const body = { prompt: 'The engine', max_tokens: 16, temperature: 0, ignore_eos: true };

  const { url, program } = await serve([`${REPO}@main`], env);
  const models = (await (await fetch(`${url}/v1/models`)).json()) as { data: { id: string }[] };
  expect(models.data.map(({ id }) => id)).toEqual([REPO]);
  const byName = (await (await post(url, '/v1/completions', { ...body, model: REPO })).json()) as CompletionJson;
  program.child.kill('SIGTERM');
  expect(await program.exit).toBe(0);
  expect(hub.asked.some(({ range }) => range === 'bytes=5000-')).toBe(true);
  expect(hub.asked.map(({ path }) => path).filter((path) => /reference|README/.test(path))).toEqual([]);

  hub.asked.length = 0;
  const again = await serve([REPO], env);
  const cached = (await (await post(again.url, '/v1/completions', { ...body, model: REPO })).json()) as CompletionJson;
  expect(cached.choices).toEqual(byName.choices);
  expect(hub.asked).toEqual([]);

  const folder = await serve([MODEL]);
  const byPath = (await (
    await post(folder.url, '/v1/completions', { ...body, model: 'mha-rope10k' })
  ).json()) as CompletionJson;
  expect(byName.choices).toEqual(byPath.choices);

  expect((await finish(['list'], '', env)).stdout).toMatch(/^NAME .*\ngattling\/mha-rope10k {3}main .*\n$/);
  expect(await finish(['rm', REPO, '--yes'], '', env)).toMatchObject({ code: 0, stderr: '' });
  expect((await finish(['list'], '', env)).stdout).toMatch(/^no models in /);
});

test('offline and not in the cache: one sentence, no request', async () => {
  const hub = await fakeHub({ [REPO]: { commit: commitNumber(7), files } });
  const { code, stderr } = await finish(['serve', REPO, '--port', '0'], '', { ...home(hub), HF_HUB_OFFLINE: '1' });
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /^gattling: "gattling\/mha-rope10k" is not whole in .* HF_HUB_OFFLINE keeps it from being fetched; .*\.\n$/,
  );
  expect(hub.asked).toEqual([]);
});
