// One blob from the Hub into the cache: goes on where an earlier try was cut, and takes its name only when its checksum is right.
import { createHash, type Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { RemoteFile } from './api.ts';
import { type RepoCache, sizeOf } from './cache.ts';
import { ConnectionError, HubError } from './errors.ts';
import { type Answer, type Connection, request } from './http.ts';
import { takeLease } from './lease.ts';
import { persist } from './retry.ts';

/** What came is not what the Hub announced. */
class Mismatch extends Error {
  override name = 'Mismatch';
}

/** git names a blob by the sha1 of this header and the content. */
function hashOf({ oid, size }: RemoteFile): Hash {
  return oid.length === 40 ? createHash('sha1').update(`blob ${size}\0`) : createHash('sha256');
}

/** blobs/OID.incomplete: `position` bytes are there and in `hash`. */
class Partial {
  readonly #file: FileHandle;
  readonly #hash: Hash;
  position = 0;

  private constructor(file: FileHandle, hash: Hash) {
    this.#file = file;
    this.#hash = hash;
  }

  static async open(path: string, file: RemoteFile, signal: AbortSignal): Promise<Partial> {
    const handle = await open(path, constants.O_RDWR | constants.O_CREAT, 0o644);
    const partial = new Partial(handle, hashOf(file));
    try {
      const { size } = await handle.stat();
      if (size > file.size) await handle.truncate(0);
      else if (size > 0) await partial.#takeUp(size, signal);
      return partial;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** What is in the file already: gigabytes, maybe. */
  async #takeUp(size: number, signal: AbortSignal): Promise<void> {
    const range = { start: 0, end: size - 1, autoClose: false, highWaterMark: 2 ** 20 };
    for await (const chunk of this.#file.createReadStream(range)) {
      signal.throwIfAborted();
      this.#take(chunk as Buffer);
    }
  }

  #take(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.position += bytes.length;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, this.position + done);
      done += bytesWritten;
    }
    this.#take(bytes);
  }

  /** To the disk; the checksum of everything. */
  async finish(): Promise<string> {
    await this.#file.datasync();
    return this.#hash.digest('hex');
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** Bytes at the start of the answer that are there already: a server may not know ranges and send the file from its start. */
function overlap({ status, headers }: Answer, { position }: Partial, { size }: RemoteFile): number {
  if (status === 200) return position;
  const range = headers.get('content-range') ?? '';
  const [, start, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(range) ?? [];
  if (Number(start) === position && (total === '*' || Number(total) === size)) return 0;
  throw new Mismatch(`another range than bytes ${position} to ${size}, which were asked for`);
}

async function receive(
  file: RemoteFile,
  partial: Partial,
  connection: Connection,
  watch: (bytes: number) => void,
): Promise<void> {
  const from = partial.position;
  const answer = await request(file.url, connection, from > 0 ? { range: `bytes=${from}-` } : {});
  let skip = overlap(answer, partial, file);
  for await (const chunk of answer.chunks) {
    const fresh = chunk.subarray(Math.min(skip, chunk.length));
    skip -= chunk.length - fresh.length;
    if (partial.position + fresh.length > file.size) throw new Mismatch(`more than its ${file.size} bytes`);
    await partial.write(fresh);
    watch(partial.position);
  }
  if (partial.position < file.size)
    throw new ConnectionError(`the answer ended after ${partial.position} of ${file.size} bytes`);
}

async function download(file: RemoteFile, path: string, connection: Connection, watch: (bytes: number) => void): Promise<void> {
  const partial = await Partial.open(path, file, connection.signal);
  try {
    watch(partial.position);
    const done = () => partial.position;
    if (done() < file.size) await persist(() => receive(file, partial, connection, watch), connection, done);
    const sum = await partial.finish();
    if (sum !== file.oid) throw new Mismatch(`the checksum ${sum}, where ${file.oid} was announced`);
  } finally {
    await partial.close();
  }
}

/** Twice: what was wrong may have come from an earlier program, or from the way here. */
async function downloadRight(
  file: RemoteFile,
  path: string,
  connection: Connection,
  watch: (bytes: number) => void,
): Promise<void> {
  for (let tried = 1; ; tried++) {
    try {
      return await download(file, path, connection, watch);
    } catch (error) {
      if (!(error instanceof Mismatch)) throw error;
      await unlink(path);
      if (tried === 2) throw error;
    }
  }
}

/** `watch` gets the bytes that are there, also while another process does the work. */
export async function fetchBlob(
  repo: string,
  file: RemoteFile,
  cache: RepoCache,
  connection: Connection,
  watch: (bytes: number) => void,
): Promise<void> {
  const blob = cache.blob(file.oid);
  const incomplete = `${blob}.incomplete`;
  await mkdir(dirname(blob), { recursive: true });
  const isThere = async () => (await sizeOf(blob)) === file.size;
  const settled = async () => {
    if (await isThere()) return true;
    watch(Math.min((await sizeOf(incomplete)) ?? 0, file.size));
    return false;
  };
  const release = await takeLease(`${incomplete}.lock`, connection.patience, connection.signal, settled);
  try {
    if (release && !(await isThere())) {
      await downloadRight(file, incomplete, connection, watch);
      await rename(incomplete, blob);
    }
  } catch (error) {
    if (!(error instanceof Mismatch)) throw error;
    const sent = `${connection.endpoint} sent ${file.path} of "${repo}" twice with ${error.message}`;
    throw new HubError(`${sent}; try again later, over another network if it stays so.`);
  } finally {
    await release?.();
  }
  watch(file.size);
}
