// What the HTTP layer needs to know beyond the engine. Everything is decided before buildApp.
import type { ChatPolicy } from '../openai/conversation.ts';
import type { SamplingDefaults } from '../openai/sampling.ts';

export interface ServerOptions {
  /** The first is the id that responses carry; requests may use any. */
  modelNames: readonly [string, ...string[]];
  /** Empty: no authentication. */
  apiKeys: readonly string[];
  /** Unix seconds: when the model was loaded. */
  created: number;
  defaults: SamplingDefaults;
  chat: ChatPolicy;
  version: string;
  /** Requests a minute for each key, or address without a key; null: no limit. */
  rateLimit: number | null;
  /** Bytes of a request body at most. */
  bodyLimit: number;
  /** A stream that has nothing to say sends a comment at least this often. */
  pingSeconds: number;
  /** Bytes that may wait for a client that does not read, before its request is cancelled. */
  streamBuffer: number;
  /** How long a client may take nothing of a response that is finished. */
  unreadSeconds: number;
  /** How long the step loop may take to answer /ready. */
  readySeconds: number;
  /** How long running requests may go on after close() was called. */
  drainSeconds: number;
}

export const serverDefaults = {
  apiKeys: [],
  defaults: {},
  chat: { systemMode: 'first', strictMessages: false, templateTags: 'refuse' },
  rateLimit: null,
  bodyLimit: 10 * 1024 * 1024,
  pingSeconds: 15,
  streamBuffer: 1024 * 1024,
  unreadSeconds: 60,
  readySeconds: 15,
  drainSeconds: 30,
} satisfies Partial<ServerOptions>;
