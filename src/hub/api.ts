// What the Hub says about a repository, through @huggingface/hub; every field is checked, for the server may be anyone's.
import { type ListFileEntry, listFiles, modelInfo } from '@huggingface/hub';
import { ConnectionError, HubError, printable, StatusError } from './errors.ts';
import { type Connection, patientFetch } from './http.ts';
import { isSafePath } from './name.ts';

export interface RemoteFile {
  path: string;
  /** Bytes. */
  size: number;
  /** Name of the blob and checksum of the content: sha256 (64 digits), or git's sha1 of a blob (40) for what is in git itself. */
  oid: string;
  /** What git has at this path: the content, or a pointer to it. */
  gitOid: string;
  xetHash: string | null;
  url: string;
}

export interface Listing {
  files: ReadonlyMap<string, RemoteFile>;
  /** Whether every file of the repository is in it: without a safe name, a size and a checksum it is not, as it cannot be asked for. */
  whole: boolean;
}

const MOST_FILES = 100_000;

const isCommit = (value: unknown): value is string => typeof value === 'string' && /^[0-9a-f]{40}$/.test(value);
const isSha1 = isCommit;
const isSha256 = (value: unknown): value is string => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);

function unexpected(endpoint: string, repo: string, what: string): HubError {
  return new HubError(`${endpoint} answers about "${repo}" with ${what}; check that HF_ENDPOINT is a Hugging Face Hub.`);
}

/** The library's own failures are those of an answer that is no JSON, or other JSON than it takes. */
async function understood<T>(connection: Connection, repo: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    connection.signal.throwIfAborted();
    const named = [HubError, StatusError, ConnectionError].some((kind) => error instanceof kind);
    throw named ? error : unexpected(connection.endpoint, repo, `what is not its API (${printable((error as Error).message)})`);
  }
}

/** The commit that a branch, a tag or a commit is. */
export async function commitOf(repo: string, revision: string, connection: Connection): Promise<string> {
  const { endpoint } = connection;
  const ask = { name: repo, revision, additionalFields: ['sha' as const], hubUrl: endpoint, fetch: patientFetch(connection) };
  const { sha } = await understood(connection, repo, () => modelInfo(ask));
  if (isCommit(sha)) return sha;
  throw unexpected(endpoint, repo, `no commit of 40 digits for "${revision}"`);
}

function remoteFile({ path, size, oid, lfs, xetHash }: ListFileEntry, base: string): RemoteFile | null {
  const bytes = lfs ? lfs.size : size;
  if (!isSafePath(path) || !Number.isSafeInteger(bytes) || bytes < 0 || !isSha1(oid)) return null;
  if ((lfs && !isSha256(lfs.oid)) || (xetHash !== undefined && !isSha256(xetHash))) return null;
  const url = `${base}/${path.split('/').map(encodeURIComponent).join('/')}`;
  return { path, size: bytes, oid: lfs?.oid ?? oid, gitOid: oid, xetHash: xetHash ?? null, url };
}

export async function filesOf(repo: string, commit: string, connection: Connection): Promise<Listing> {
  const { endpoint } = connection;
  const base = `${endpoint}/${repo}/resolve/${commit}`;
  const ask = { repo: { type: 'model' as const, name: repo }, recursive: true, revision: commit };
  return understood(connection, repo, async () => {
    const files = new Map<string, RemoteFile>();
    let count = 0;
    for await (const entry of listFiles({ ...ask, hubUrl: endpoint, fetch: patientFetch(connection) })) {
      if (entry.type !== 'file') continue;
      if (++count > MOST_FILES) throw unexpected(endpoint, repo, `more than ${MOST_FILES} files`);
      const file = remoteFile(entry, base);
      if (file) files.set(file.path, file);
    }
    return { files, whole: files.size === count };
  });
}
