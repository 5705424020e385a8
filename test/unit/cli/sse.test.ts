import { expect, test } from 'vitest';
import { eventData } from '../../../src/cli/sse.ts';

async function read(text: string, size: number): Promise<string[]> {
  const bytes = new TextEncoder().encode(text);
  const parts = async function* () {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  };
  const found: string[] = [];
  for await (const data of eventData(parts())) found.push(data);
  return found;
}

const STREAM = ': ping\n\ndata: {"a":"é"}\n\ndata:two\r\n\r\nevent: x\rdata: three\r\rdata: l1\ndata: l2\n\ndata: [DONE]\n\n';

test.each([1, 2, 3, 5, 7, 1000])('events survive any cut: %i bytes at a time', async (size) => {
  expect(await read(STREAM, size)).toEqual(['{"a":"é"}', 'two', 'three', 'l1\nl2', '[DONE]']);
});

test('an event at the end without an empty line counts', async () => {
  expect(await read('data: last', 3)).toEqual(['last']);
});
