// A Hugging Face Hub on this machine, as far as downloads go: it tells what it was asked, and a test may make it fail. Files of
// weights come from a second address, as the Hub's do from a content network.
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

export interface Repo {
  commit: string;
  files: Record<string, string | Buffer>;
  /** Branches and tags beside main. */
  refs?: Record<string, string>;
  /** Entries of the listing as they are: what an honest Hub would not send. */
  entries?: object[];
}

export interface Asked {
  /** "/api/models/org/repo/revision/main", with no query. */
  path: string;
  range: string | undefined;
  authorization: string | undefined;
  from: 'hub' | 'cdn';
}

export interface Reply {
  status?: number;
  headers?: Record<string, string>;
  /** Instead of what was asked for. */
  body?: string | Buffer;
  /** The connection breaks after so many bytes. */
  cut?: number;
  /** The answer ends after so many bytes, as if it were all. */
  short?: number;
  /** Nothing comes after the headers. */
  stalls?: boolean;
  /** One byte is another. */
  corrupt?: boolean;
  /** The whole file, whatever range was asked for. */
  noRanges?: boolean;
  /** What the answer waits for. */
  until?: Promise<unknown>;
}

export interface FakeHub {
  /** http://127.0.0.1:PORT */
  url: string;
  asked: Asked[];
}

export const commitNumber = (digit: number): string => String(digit).repeat(40);

const bytesOf = (content: string | Buffer): Buffer => Buffer.from(content);
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** As `git hash-object`. */
const gitSha1 = (bytes: Buffer): string => createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');

export const isLarge = (path: string): boolean => /\.(safetensors|gguf|model|bin)$/.test(path);

/** The name of a file's blob. */
export const oidOf = (path: string, content: string | Buffer): string => {
  const bytes = bytesOf(content);
  return isLarge(path) ? sha256(bytes) : gitSha1(bytes);
};

function entryOf([path, content]: [string, string | Buffer]): object {
  const bytes = bytesOf(content);
  const entry = { type: 'file', path, size: bytes.length, oid: gitSha1(bytes) };
  return isLarge(path) ? { ...entry, lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 130 } } : entry;
}

async function listen(handle: RequestListener): Promise<string> {
  const server = createServer(handle);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Where nobody listens. */
export async function closedAddress(): Promise<string> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return `http://127.0.0.1:${port}`;
}

function sendBytes(response: ServerResponse, whole: Buffer, asked: Asked, reply: Reply): void {
  const bytes = Buffer.from(whole);
  if (reply.corrupt && bytes.length > 0) bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
  const start = reply.noRanges ? undefined : /^bytes=(\d+)-$/.exec(asked.range ?? '')?.[1];
  const part = bytes.subarray(Number(start ?? 0));
  const range = start === undefined ? {} : { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` };
  const length = reply.short === undefined ? { 'content-length': part.length } : {};
  response.writeHead(start === undefined ? 200 : 206, { ...range, ...length, ...reply.headers });
  if (reply.cut !== undefined) response.write(part.subarray(0, reply.cut), () => response.destroy());
  else if (reply.stalls) response.flushHeaders();
  else response.end(part.subarray(0, reply.short));
}

const json = (response: ServerResponse, body: unknown, headers: Record<string, string> = {}): void => {
  response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
};

const notFound = (response: ServerResponse, code: string): void => {
  response.writeHead(404, { 'x-error-code': code }).end('{"error":"not found"}');
};

/** Entries of a page of the listing. */
const PAGE = 5;

interface Taken {
  asked: Asked;
  reply: Reply;
  page: number;
}

/** `decide` gets each request and how many of its path came before; what it says nothing about is answered well. */
export async function fakeHub(
  repos: Record<string, Repo>,
  decide: (asked: Asked, before: number) => Reply | undefined = () => undefined,
): Promise<FakeHub> {
  const hub: FakeHub = { url: '', asked: [] };

  /** null when the answer is given already. */
  async function take(request: IncomingMessage, response: ServerResponse, from: Asked['from']): Promise<Taken | null> {
    const { authorization, range } = request.headers;
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://hub');
    const asked: Asked = { path: decodeURIComponent(pathname), range, authorization, from };
    const before = hub.asked.filter(({ path }) => path === asked.path).length;
    hub.asked.push(asked);
    const reply = decide(asked, before) ?? {};
    await reply.until;
    if (reply.status === undefined && reply.body === undefined)
      return { asked, reply, page: Number(searchParams.get('cursor') ?? 0) };
    response.writeHead(reply.status ?? 200, reply.headers).end(reply.body ?? '{"error":"no luck"}');
    return null;
  }

  function tree(response: ServerResponse, { files, entries = [] }: Repo, { asked, page }: Taken): void {
    const all = [...Object.entries(files).map(entryOf), ...entries];
    const next = `<${hub.url}${asked.path}?recursive=true&cursor=${page + 1}>; rel="next"`;
    json(response, all.slice(page * PAGE, (page + 1) * PAGE), (page + 1) * PAGE < all.length ? { link: next } : {});
  }

  function revision(response: ServerResponse, { commit, refs = {} }: Repo, name: string): void {
    const sha = { main: commit, [commit]: commit, ...refs }[name];
    if (sha === undefined) notFound(response, 'RevisionNotFound');
    else json(response, { _id: 'x', id: 'x', sha, lastModified: '2026-01-01T00:00:00.000Z' });
  }

  function file(response: ServerResponse, { files }: Repo, path: string, { asked, reply }: Taken): void {
    const content = files[path];
    if (content === undefined) notFound(response, 'EntryNotFound');
    else if (isLarge(path)) response.writeHead(302, { location: `${cdn}/${oidOf(path, content)}` }).end();
    else sendBytes(response, bytesOf(content), asked, reply);
  }

  const cdn = await listen(async (request, response) => {
    const taken = await take(request, response, 'cdn');
    if (!taken) return;
    const contents = Object.values(repos).flatMap(({ files }) => Object.values(files).map(bytesOf));
    const found = contents.find((bytes) => taken.asked.path === `/${sha256(bytes)}`);
    if (found) sendBytes(response, found, taken.asked, taken.reply);
    else notFound(response, 'EntryNotFound');
  });

  hub.url = await listen(async (request, response) => {
    const taken = await take(request, response, 'hub');
    if (!taken) return;
    const [, api = '', what, name = ''] = /^\/api\/models\/([^/]+\/[^/]+)\/(revision|tree)\/(.+)$/.exec(taken.asked.path) ?? [];
    const [, plain = '', path = ''] = /^\/([^/]+\/[^/]+)\/resolve\/[0-9a-f]{40}\/(.+)$/.exec(taken.asked.path) ?? [];
    const repo = repos[api] ?? repos[plain];
    if (!repo) notFound(response, 'RepoNotFound');
    else if (what === 'revision') revision(response, repo, name);
    else if (what === 'tree') tree(response, repo, taken);
    else file(response, repo, path, taken);
  });

  return hub;
}
