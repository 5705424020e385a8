// "org/repo", with ":Q4_K_M" and "@revision" behind it: what the user types for a repository.

export interface HubName {
  /** "org/repo" */
  repo: string;
  /** Branch, tag or commit; null is main. */
  revision: string | null;
  /** A quantisation ("Q4_K_M") or a file ("model.gguf"); null when none was named. */
  tag: string | null;
}

/** huggingface_hub's rules (_validators.py): they also keep one repository's folder in the cache from meaning another. */
function isRepo(text: string): boolean {
  const parts = text.split('/');
  if (parts.length !== 2 || text.length > 96 || text.includes('--') || text.includes('..') || text.endsWith('.git'))
    return false;
  return parts.every((part) => /^\w(?:[\w.-]*\w)?$/.test(part));
}

/** A name that stays below the folder that it is joined to, on every system. */
export function isSafePath(path: unknown): path is string {
  if (typeof path !== 'string' || path.includes('\\') || /[\p{Cc}\p{Zl}\p{Zp}]/u.test(path)) return false;
  const segments = path.split('/');
  return segments.every((segment) => !['', '.', '..'].includes(segment) && Buffer.byteLength(segment) <= 255);
}

/** git check-ref-format, as far as it matters to a path and an address. */
const isRevision = (text: string): boolean => isSafePath(text) && !/[\s~^:?*[@]|\.lock$/.test(text);

const isTag = (text: string): boolean => isSafePath(text) && (!text.includes('/') || /\.gguf$/i.test(text));

const FORMS = [
  /^(?<repo>[^:@]+)(?::(?<tag>[^:@]+))?(?:@(?<revision>[^:@]+))?$/,
  /^(?<repo>[^:@]+)@(?<revision>[^:@]+):(?<tag>[^:@]+)$/,
];

/** null when the text cannot name a repository. */
export function parseName(text: string): HubName | null {
  const {
    repo = '',
    revision = null,
    tag = null,
  } = FORMS.map((form) => form.exec(text)?.groups).find((groups) => groups) ?? {};
  if (!isRepo(repo) || (revision !== null && !isRevision(revision)) || (tag !== null && !isTag(tag))) return null;
  return { repo, revision, tag };
}

/** What was typed, without the revision. */
export const titleOf = ({ repo, tag }: HubName): string => (tag === null ? repo : `${repo}:${tag}`);
