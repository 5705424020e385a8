// API keys. Only digests are kept, and compared in constant time.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { missingKey, wrongKey } from './errors.ts';

/** Who sends a request: an API key's owner, or everybody when there are no keys. */
export interface Tenant {
  /** For counting; does not tell the key. */
  id: string;
  /** [16] keeps this tenant's prefix-cache blocks apart. Derived here: a salt of the caller's choice would protect nobody. */
  salt: Uint8Array;
}

const everybody: Tenant = { id: 'everybody', salt: new Uint8Array(16) };

const digest = (key: string) => createHash('sha256').update(key).digest();
const derive = (key: string, purpose: string) => createHmac('sha256', key).update(`gattling ${purpose}`).digest();

export type Authenticate = (authorization: string | undefined) => Tenant;

/** The returned function throws on a missing or wrong key. */
export function authenticator(apiKeys: readonly string[]): Authenticate {
  if (apiKeys.length === 0) return () => everybody;
  const tenants = apiKeys.map((key) => ({
    digest: digest(key),
    tenant: { id: derive(key, 'tenant').toString('hex'), salt: Uint8Array.from(derive(key, 'prefix cache').subarray(0, 16)) },
  }));
  return (authorization) => {
    const key = /^bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
    if (key === undefined) throw missingKey();
    const given = digest(key);
    // All are compared, whichever fits.
    const found = tenants.filter((candidate) => timingSafeEqual(candidate.digest, given))[0];
    if (found === undefined) throw wrongKey();
    return found.tenant;
  };
}
