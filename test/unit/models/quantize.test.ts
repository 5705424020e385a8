import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { perplexity } from '../../../src/cli/perplexity.ts';
import { quantize } from '../../../src/models/quantize.ts';
import { DEMO_MODEL } from '../../../src/models/resolve.ts';
import { loadAddon } from '../../../src/native/addon.ts';
import { MODELS } from '../text/references.ts';

const folder = mkdtempSync(join(tmpdir(), 'gattling-'));
afterAll(() => rmSync(folder, { recursive: true }));

const attempt = (model: string, out: string, quantization: 'int8' | 'int4' | 'int4-g128' = 'int4') =>
  quantize({ model, out, quantization }, loadAddon(), () => {});

describe('a folder of packed integers', () => {
  test('has what the folder had, and says how it is packed', async () => {
    const [model, out] = [`${MODELS}/mha-rope10k`, join(folder, 'packed')];
    const { bytes, numKept, tensors } = await attempt(model, out, 'int4-g128');
    const files = (path: string) => readdirSync(path).filter((name) => name !== 'reference.json');
    expect(files(out).sort()).toEqual(files(model).sort());
    expect(numKept).toBe(0);
    expect(bytes).toBeLessThan(readFileSync(join(model, 'model.safetensors')).length);
    expect(tensors.length).toBeGreaterThan(0);
    const config = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8'));
    expect(config).toMatchObject(JSON.parse(readFileSync(join(model, 'config.json'), 'utf8')));
    expect(config.quantization_config).toEqual({
      ...{ quant_method: 'gptq', bits: 4, group_size: 128, desc_act: false, sym: true, lm_head: false },
      checkpoint_format: 'gptq',
    });
  });

  test('foresees a text nearly as well', async () => {
    const text =
      'Who are you? I am Gattling. What is the capital of France? The capital of France is Paris. How much is 2 + 3?';
    const before = await perplexity(DEMO_MODEL, text, loadAddon());
    for (const [quantization, most] of [
      ['int8', 0.02],
      ['int4', 0.25],
    ] as const) {
      const out = join(folder, quantization);
      await attempt(DEMO_MODEL, out, quantization);
      expect(Math.abs((await perplexity(out, text, loadAddon())) / before - 1)).toBeLessThan(most);
    }
  });
});

describe('what is refused', () => {
  test('a model in the way, and one that is quantised', async () => {
    const [there, out] = [join(folder, 'there'), join(folder, 'out')];
    mkdirSync(there);
    writeFileSync(join(there, 'config.json'), '{}');
    await expect(attempt(DEMO_MODEL, there)).rejects.toThrow('there" holds a model already; give another folder');
    await attempt(DEMO_MODEL, out);
    await expect(attempt(out, join(folder, 'twice'))).rejects.toThrow('is quantised already; give a folder of plain weights.');
    expect(existsSync(join(folder, 'twice'))).toBe(false);
  });

  test('a text that cannot be scored', async () => {
    await expect(perplexity(DEMO_MODEL, '', loadAddon())).rejects.toThrow('The text has too few tokens to be scored');
  });
});
