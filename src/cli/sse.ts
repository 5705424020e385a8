// Server-sent events as a client reads them (WHATWG HTML, 9.2.6), reduced to what this API sends: `data` fields.

/** The data of each event, in order. Lines end in \n, \r\n or \r; comments and other fields are skipped. */
export async function* eventData(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  let data: string[] = [];
  const take = function* (line: string): Generator<string> {
    if (line.startsWith('data:')) data.push(line.slice(line[5] === ' ' ? 6 : 5));
    if (line !== '' || data.length === 0) return;
    yield data.join('\n');
    data = [];
  };
  for await (const bytes of body) {
    rest += decoder.decode(bytes, { stream: true });
    // A \r at the very end may be half of a \r\n: it stays until more has come.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? '';
    for (const line of lines) yield* take(line);
  }
  for (const line of [...rest.split(/\r\n|\n|\r/), '']) yield* take(line);
}
