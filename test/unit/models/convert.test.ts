import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { convert } from '../../../src/models/convert.ts';
import { ggufFields } from '../../../src/models/gguf-fields.ts';
import { loadAddon } from '../../../src/native/addon.ts';
import { ggufVocabulary } from '../../../src/text/gguf-vocabulary.ts';
import { MODELS } from '../text/references.ts';

const folder = mkdtempSync(join(tmpdir(), 'gattling-'));
afterAll(() => rmSync(folder, { recursive: true }));
const out = join(folder, 'm.gguf');

test('fields are little-endian, each behind its key and type', () => {
  const bytes = ggufFields({
    a: 'xy',
    b: 258,
    c: true,
    d: ['é', ''],
    e: Int32Array.of(-1),
    f: Float32Array.of(1),
    g: Uint8Array.of(7),
  });
  const key = (letter: string) => `0100000000000000${letter.charCodeAt(0).toString(16)}`;
  expect(bytes.toString('hex')).toBe(
    [
      `${key('a')}0800000002000000000000007879`,
      `${key('b')}0400000002010000`,
      `${key('c')}0700000001`,
      `${key('d')}090000000800000002000000000000000200000000000000c3a90000000000000000`,
      `${key('e')}09000000050000000100000000000000ffffffff`,
      `${key('f')}090000000600000001000000000000000000803f`,
      `${key('g')}0900000000000000010000000000000007`,
    ].join(''),
  );
});

test('a folder becomes a file that says the same of itself', async () => {
  const model = `${MODELS}/mha-rope10k`;
  const stages: number[] = [];
  const size = await convert({ model, out, type: 'q8_0' }, ggufVocabulary, loadAddon(), ({ done }) => stages.push(done));
  expect(statSync(out).size).toBe(size);
  const { metadata, tensors } = loadAddon().readGguf(out);
  expect(metadata).toMatchObject({ 'general.name': 'mha-rope10k', 'general.architecture': 'llama', 'general.file_type': 7 });
  expect((metadata['tokenizer.ggml.tokens'] as string[]).length).toBe(512);
  expect(tensors.find(({ name }) => name === 'blk.0.attn_q.weight')?.type).toBe('Q8_0');
});

test('what cannot be written is said before anything is', async () => {
  const { convert: write } = loadAddon();
  const attempt = (model: string, file: string) =>
    convert({ model, out: file, type: 'auto' }, ggufVocabulary, { convert: write }, () => {});
  await expect(attempt(`${MODELS}/mqa-f16`, join(folder, 'm.bin'))).rejects.toThrow(
    'must be the name of a .gguf file to write',
  );
  await expect(attempt(out, join(folder, 'n.gguf'))).rejects.toThrow('is a GGUF file; give the folder');
  await expect(attempt(`${MODELS}/mqa-f16`, out)).rejects.toThrow('m.gguf is there already; choose another name');
  await expect(attempt(join(folder, 'none'), join(folder, 'n.gguf'))).rejects.toThrow('does not exist');
  expect(existsSync(join(folder, 'n.gguf'))).toBe(false);
});
