import { expect, test } from 'vitest';
import { metadataRows, parameters, tensorRows, typeTotals } from '../../../src/models/inspect.ts';
import type { GgufValue } from '../../../src/native/addon.ts';

const tensors = [
  { name: 'a.weight', type: 'Q4_0', shape: [2, 64], bytes: 72 },
  { name: 'b\u001b[2J', type: 'F32', shape: [4], bytes: 16 },
  { name: 'c.weight', type: 'Q4_0', shape: [1, 32], bytes: 18 },
];
const file = (metadata: Record<string, GgufValue>) => ({ version: 3, metadata, tensors });

test('values as they are, lists by their beginnings', () => {
  const rows = metadataRows(
    file({ a: 7, b: true, c: 'x', d: ['p', 'q'], e: Float32Array.of(1, 2, 3, 4, 5), f: 2n ** 60n, g: 'y'.repeat(100), h: [] }),
  );
  expect(Object.fromEntries(rows)).toEqual({
    a: '7',
    b: 'true',
    c: '"x"',
    d: '2 strings: "p", "q"',
    e: '5 numbers: 1, 2, 3, 4, ..',
    f: '1152921504606846976',
    g: `"${'y'.repeat(72)}"..`,
    h: '0 strings: ',
  });
});

test('nothing that a terminal would obey', () => {
  const all = JSON.stringify([
    metadataRows(file({ 'k\u009b': 'v\u001b]0;x\u0007', list: ['\u202e', '\u2028'] })),
    tensorRows(tensors, String),
  ]);
  expect(JSON.parse(all)).toEqual([
    [
      ['"k\\u{9b}"', '"v\\u001b]0;x\\u0007"'],
      ['list', '2 strings: "\\u{202e}", "\\u{2028}"'],
    ],
    [
      ['a.weight', 'Q4_0', '2 x 64', '72'],
      ['"b\\u001b[2J"', 'F32', '4', '16'],
      ['c.weight', 'Q4_0', '1 x 32', '18'],
    ],
  ]);
});

test('totals of types, the most bytes first', () => {
  expect(typeTotals(tensors)).toEqual([
    { type: 'Q4_0', tensors: 2, bytes: 90 },
    { type: 'F32', tensors: 1, bytes: 16 },
  ]);
  expect(parameters(tensors)).toBe(164);
});
