// Where models come from and go to, as huggingface_hub takes it from the environment (its constants.py and utils/_auth.py).
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { HubError } from './errors.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface HubSettings {
  /** "https://huggingface.co" */
  endpoint: string;
  /** The folder of models--org--repo. */
  cache: string;
  offline: boolean;
  /** From the environment; null leaves it to `tokenFile`. */
  token: string | null;
  tokenFile: string;
}

const isTrue = (value: string | undefined): boolean => ['1', 'ON', 'YES', 'TRUE'].includes((value ?? '').toUpperCase());

/** A token pasted with its line end; null when there is none. */
const clean = (token: string | undefined): string | null => token?.replace(/[\r\n]/g, '').trim() || null;

function endpointOf(env: Environment): string {
  const text = (env['HF_ENDPOINT'] || 'https://huggingface.co').replace(/\/+$/, '');
  if (URL.canParse(text) && /^https?:\/\//.test(text)) return text;
  throw new HubError(`HF_ENDPOINT must be the address of a Hugging Face Hub such as https://huggingface.co, not "${text}".`);
}

export function hubSettings(env: Environment): HubSettings {
  const user = env['HOME'] || homedir();
  const folder = (path: string) => resolve(path.replace(/^~(?=$|\/)/, user));
  const home = folder(env['HF_HOME'] || join(env['XDG_CACHE_HOME'] || '~/.cache', 'huggingface'));
  return {
    endpoint: endpointOf(env),
    cache: folder(env['HF_HUB_CACHE'] || env['HUGGINGFACE_HUB_CACHE'] || join(home, 'hub')),
    offline: isTrue(env['HF_HUB_OFFLINE'] || env['TRANSFORMERS_OFFLINE']),
    token: clean(env['HF_TOKEN'] || env['HUGGING_FACE_HUB_TOKEN']),
    tokenFile: folder(env['HF_TOKEN_PATH'] || join(home, 'token')),
  };
}

/** null when nobody has logged in. */
export async function readToken({ token, tokenFile }: HubSettings): Promise<string | null> {
  if (token !== null) return token;
  try {
    return clean(await readFile(tokenFile, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new HubError(`The token file ${tokenFile} cannot be read (${(error as Error).message}); mend it, or set HF_TOKEN.`);
  }
}
