// What can go wrong between a name and the files: one sentence each, with the repository and the way out.

export class HubError extends Error {
  override name = 'HubError';
}

/** A server's words for a terminal: one line, not long, without what a terminal would obey. */
export const printable = (text: string): string =>
  text
    .replace(/[^\x20-\x7e]+/g, ' ')
    .trim()
    .slice(0, 100);

/** The Hub, or where it sends us, answered with an error. */
export class StatusError extends Error {
  override name = 'StatusError';
  readonly status: number;
  /** X-Error-Code: RepoNotFound, RevisionNotFound, EntryNotFound, GatedRepo; "" without one. */
  readonly code: string;
  /** Retry-After in ms; null without one. */
  readonly askedMs: number | null;
  constructor(status: number, code: string, askedMs: number | null) {
    super(`HTTP ${status}`);
    this.status = status;
    this.code = code;
    this.askedMs = askedMs;
  }
}

/** No answer, or one that ended early: nobody reached, a cut, silence. */
export class ConnectionError extends Error {
  override name = 'ConnectionError';
}

export interface Subject {
  /** "org/repo" */
  repo: string;
  revision: string;
  endpoint: string;
  /** Whether a token was sent. */
  known: boolean;
  /** Where the cache is. */
  cache: string;
}

const TOKEN = 'set HF_TOKEN to a token that may read it';

function refused({ repo, endpoint, known }: Subject, status: number, code: string): string {
  const page = `${endpoint}/${repo}`;
  if (code === 'GatedRepo') {
    const account = known ? 'with the account of HF_TOKEN' : 'and set HF_TOKEN to a token of the account that did';
    return `"${repo}" is gated: accept its terms at ${page} ${account}, then try again.`;
  }
  if (status === 403)
    return `"${repo}" may not be read with the token that was sent (HTTP 403); look at ${page}, and ${TOKEN}.`;
  if (known && code !== 'RepoNotFound')
    return `${endpoint} does not take the token that was sent for "${repo}" (HTTP 401); set HF_TOKEN to a valid one, or to none for what is public.`;
  return absent({ repo, endpoint, known }, status);
}

function absent({ repo, endpoint, known }: Pick<Subject, 'repo' | 'endpoint' | 'known'>, status: number): string {
  const token = known ? 'set HF_TOKEN to a token that may read it if it is private' : `${TOKEN} if it is private`;
  return `"${repo}" is neither a path here nor a repository that ${endpoint} shows (HTTP ${status}); check the name, and ${token}.`;
}

function missing(subject: Subject, code: string): string {
  const { repo, revision, endpoint } = subject;
  if (code === 'RevisionNotFound')
    return `"${repo}" has no revision "${revision}"; the branches, tags and commits that it has are at ${endpoint}/${repo}/tree/main.`;
  if (code === 'EntryNotFound') return `"${repo}" lists a file that ${endpoint} does not have (HTTP 404); try again later.`;
  return absent(subject, 404);
}

function ofStatus(subject: Subject, { status, code, askedMs }: StatusError): string {
  const { repo, endpoint, known } = subject;
  if (status === 401 || status === 403) return refused(subject, status, code);
  if (status === 404) return missing(subject, code);
  if (status === 429) {
    const when = askedMs === null ? 'later' : `in ${Math.ceil(askedMs / 1000)} s`;
    const more = known ? '' : ', or set HF_TOKEN: who is known may ask more often';
    return `${endpoint} gets too many requests from here to send "${repo}" (HTTP 429); try again ${when}${more}.`;
  }
  if (status >= 500)
    return `${endpoint} cannot send "${repo}" at present (HTTP ${status}); try again later, what has arrived is kept.`;
  return `${endpoint} does not send "${repo}" (HTTP ${status}); check HF_ENDPOINT, or try again later.`;
}

function ofDisk({ repo, cache }: Subject, { code }: NodeJS.ErrnoException): string {
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return `The disk of ${cache} is full (${code}), with "${repo}" not whole yet; make room, or choose another disk with HF_HOME, then go on with the same command.`;
  return `"${repo}" cannot be written to ${cache} (${code}); choose a folder that can be written with HF_HOME.`;
}

const isErrno = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === 'string';

/** The user's sentence for whatever ended the work. */
export function explain(error: unknown, subject: Subject): unknown {
  if (error instanceof StatusError) return new HubError(ofStatus(subject, error), { cause: error });
  if (error instanceof ConnectionError)
    return new HubError(
      `${subject.endpoint} cannot be reached for "${subject.repo}" (${error.message}); check the network and HF_ENDPOINT, what has arrived is kept.`,
      { cause: error },
    );
  if (isErrno(error)) return new HubError(ofDisk(subject, error), { cause: error });
  return error;
}
