import { expect, test } from 'vitest';
import { matching, nearestLabels, quantsOf } from '../../../src/hub/quants.ts';

test.each([
  ['Llama-3.2-1B-Instruct-Q4_K_M.gguf', 'Q4_K_M'],
  ['tinyllama-1.1b-chat-v1.0.Q8_0.gguf', 'Q8_0'],
  ['ggml-model-q4_0.gguf', 'Q4_0'],
  ['model_q5_1.GGUF', 'Q5_1'],
  ['Phi-IQ4_XS.gguf', 'IQ4_XS'],
  ['x-UD-Q4_K_XL.gguf', 'UD-Q4_K_XL'],
  ['x-Q4_0_4_8.gguf', 'Q4_0_4_8'],
  ['x-BF16.gguf', 'BF16'],
  ['x.f16.gguf', 'F16'],
  ['x-fp16.gguf', 'FP16'],
  ['x-TQ1_0.gguf', 'TQ1_0'],
  ['x-MXFP4.gguf', 'MXFP4'],
  ['f16-of-q8_0.gguf', 'Q8_0'],
  ['Q6_K/part-00001-of-00001.gguf', 'Q6_K'],
  ['stories260K.gguf', 'STORIES260K'],
  ['Qwen2-q.gguf', 'QWEN2-Q'],
])('%s is %s', (path, label) => expect(quantsOf([path])).toEqual([{ label, files: [path], whole: true }]));

test('parts of a split file are one, in order, and whole when all are there', () => {
  const part = (number: number) => `m-Q8_0-0000${number}-of-00003.gguf`;
  expect(quantsOf([part(3), part(1), part(2)])).toEqual([{ label: 'Q8_0', files: [part(1), part(2), part(3)], whole: true }]);
  expect(quantsOf([part(3), part(1)])[0]?.whole).toBe(false);
  expect(quantsOf([part(2), part(3)])[0]?.whole).toBe(false);
  expect(quantsOf(['m-Q8_0.gguf', part(1), part(2), part(3)])).toHaveLength(2);
});

test('what else is a .gguf is none', () => {
  expect(quantsOf(['mmproj-model-f16.gguf', 'x.imatrix.gguf', 'imatrix.gguf', 'x.gguf.txt', 'config.json'])).toEqual([]);
});

test('a tag is a quantisation in any case, or a file', () => {
  const quants = quantsOf(['a/m-Q4_0.gguf', 'm-Q4_K_M.gguf', 'm-UD-Q4_K_XL.gguf', 'm-UD-Q4_0.gguf']);
  const files = (tag: string) => matching(quants, tag).flatMap((quant) => quant.files);
  expect(files('q4_k_m')).toEqual(['m-Q4_K_M.gguf']);
  expect(files('Q4_0')).toEqual(['a/m-Q4_0.gguf']);
  expect(files('Q4_K_XL')).toEqual(['m-UD-Q4_K_XL.gguf']);
  expect(files('ud-q4_0')).toEqual(['m-UD-Q4_0.gguf']);
  expect(files('m-Q4_0.gguf')).toEqual(['a/m-Q4_0.gguf']);
  expect(files('a/m-Q4_0.gguf')).toEqual(['a/m-Q4_0.gguf']);
  expect(files('Q4')).toEqual([]);
});

test('the nearest are of about as many bits, then spelled alike', () => {
  const quants = quantsOf(['m.Q2_K.gguf', 'm.Q4_0.gguf', 'm.Q4_K_M.gguf', 'm.Q5_K_M.gguf', 'm.Q8_0.gguf', 'm.gguf']);
  expect(nearestLabels(quants, 'q4_km').slice(0, 3)).toEqual(['Q4_K_M', 'Q4_0', 'Q5_K_M']);
  expect(nearestLabels(quants, 'Q8')).toEqual(['Q8_0', 'Q5_K_M', 'Q4_0', 'Q4_K_M', 'Q2_K', 'M']);
});
