// One answer from the server of `gattling gatt`: tried again while the server is busy, and failing with the place in the input.
import type { GattConfig } from '../config.ts';
import { patience, persist } from '../gatt/retry.ts';
import type { Answer, Ask, ChatMessage } from '../gatt/sample.ts';
import { retryAfterMs } from '../retry-after.ts';
import { TextError } from '../text/types.ts';
import { Refused, type Remote, remote, Unreachable } from './remote.ts';

// Timeout, conflict with a restart, too many requests, bad gateway, unavailable, gateway timeout.
const BUSY = [408, 409, 429, 502, 503, 504];
// The request itself: too long, or not to the server's taste.
const UNFIT = [400, 413, 422];

class Failed extends TextError {
  override name = 'Failed';
}

/** Whether another dialogue may fare better. */
export const skippable = (error: unknown): boolean =>
  error instanceof Failed && error.cause instanceof Refused && UNFIT.includes(error.cause.status);

function failed(place: string, error: TextError): Failed {
  const advice =
    error instanceof Refused && UNFIT.includes(error.status) ? ' (--skip-refused leaves out what the server refuses)' : '';
  const failure = new Failed(`${place}: ${error.message}${advice}`);
  failure.cause = error;
  return failure;
}

async function readAnswer(server: Remote, body: Parameters<Remote['chat']>[0], signal: AbortSignal): Promise<Answer> {
  let content = '';
  let finish: string | null = null;
  for await (const { choices } of server.chat(body, signal)) {
    content += choices?.[0]?.delta?.content ?? '';
    finish = choices?.[0]?.finish_reason ?? finish;
  }
  if (finish === null) throw new Unreachable('The server ended its answer without a finish_reason.');
  return { content, whole: finish !== 'length' };
}

/** `say` is told once when a wait begins, and again only after an answer has come. */
export function asker(
  config: GattConfig,
  model: string,
  signal: AbortSignal,
  say: (text: string) => void,
): (place: string) => Ask {
  const server = remote(config.url, config.apiKey[0]);
  const { maxTokens, temperature, topP } = config;
  const sampling = {
    ...(maxTokens > 0 ? { max_tokens: maxTokens } : {}),
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { top_p: topP }),
  };
  let reached = false;
  let waiting = false;
  const retryable = (error: unknown) => {
    if (error instanceof Refused && BUSY.includes(error.status)) return retryAfterMs(error.retryAfter, Date.now()) ?? undefined;
    // A server that was never there is a wrong --url.
    return error instanceof Unreachable && reached ? undefined : null;
  };
  const onWait = (error: unknown, ms: number) => {
    if (!waiting) say(`${(error as Error).message}; trying again in ${(ms / 1000).toFixed(1)} s`);
    waiting = true;
  };
  return (place) =>
    async (messages: ChatMessage[], { seed, turn }): Promise<Answer> => {
      const body = { model, messages, seed, ...sampling };
      const once = async () => {
        const answer = await readAnswer(server, body, signal);
        reached = true;
        waiting = false;
        return answer;
      };
      try {
        return await persist(once, patience, retryable, signal, onWait);
      } catch (error) {
        throw error instanceof TextError ? failed(`${place}, turn ${turn}`, error) : error;
      }
    };
}
