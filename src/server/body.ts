// Request bodies: JSON in UTF-8, of bounded depth, without coercion.
import { isUtf8 } from 'node:buffer';
import type { FastifyInstance } from 'fastify';
import { encodedBody, notJson, tooDeep, tooManyMembers } from './errors.ts';

const maxDepth = 64;
const maxMembers = 100_000;
const [quote, backslash, colon] = [0x22, 0x5c, 0x3a];
const [openBracket, openBrace, closeBracket, closeBrace] = [0x5b, 0x7b, 0x5d, 0x7d];

export function acceptJson(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'buffer' },
    async (request: { headers: NodeJS.Dict<unknown> }, body: Buffer) => {
      const encoding = request.headers['content-encoding'];
      if (typeof encoding === 'string' && encoding !== 'identity') throw encodedBody(encoding);
      return parseJson(body);
    },
  );
}

export function parseJson(body: Buffer): unknown {
  if (body.length === 0) throw notJson('it is empty');
  if (!isUtf8(body)) throw notJson('it is not UTF-8');
  checkShape(body);
  try {
    // Drops a byte-order mark, which some editors and shells put in front.
    return JSON.parse(new TextDecoder().decode(body));
  } catch (error) {
    // V8's message quotes the body; the position is enough.
    if (String(error).includes('end of JSON')) throw notJson('it ends too early');
    const position = /position \d+/.exec(String(error))?.[0];
    throw notJson(position === undefined ? 'it has a mistake' : `it has a mistake at ${position}`);
  }
}

/** Nesting and object members cost far more to parse and check than their bytes; what no prompt needs is refused before that. */
function checkShape(json: Buffer): void {
  let open = 0;
  let members = 0;
  let inString = false;
  for (let i = 0; i < json.length; i++) {
    const byte = json[i];
    if (inString) {
      if (byte === backslash) i++;
      else if (byte === quote) inString = false;
    } else if (byte === quote) inString = true;
    else if (byte === openBracket || byte === openBrace) {
      if (++open > maxDepth) throw tooDeep(maxDepth);
    } else if (byte === closeBracket || byte === closeBrace) open--;
    else if (byte === colon && ++members > maxMembers) throw tooManyMembers(maxMembers);
  }
}
