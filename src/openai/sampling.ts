// How a body asks for tokens to be chosen, in the engine's terms.
import type { Engine, GenerateRequest } from '../engine/types.ts';
import { contextTooLong, invalid, shown, textTooLong } from './errors.ts';
import type { SamplingBody } from './schema.ts';

/** The checkpoint's own recommendations (generation_config.json); what is missing is the API's default. */
export interface SamplingDefaults {
  temperature?: number;
  topP?: number;
  topK?: number;
  minP?: number;
  repetitionPenalty?: number;
  /** Seed of requests that bring none; the server's choice, not the checkpoint's. */
  seed?: number;
}

/** What a request may use of the model. */
export interface ModelLimits {
  vocabSize: number;
  maxModelLen: number;
}

/** The part of a GenerateRequest that all choices of a request share, but for the seed. */
export type Sampling = Omit<GenerateRequest, 'tokens' | 'maxTokens' | 'logprobs' | 'promptLogprobs' | 'salt'>;

/** Below this a temperature would overflow a float32 logit; it is greedy already. */
const coldest = 1e-5;

export function toSampling(body: SamplingBody, defaults: SamplingDefaults, limits: ModelLimits): Sampling {
  if (body.stream_options && body.stream !== true) {
    throw invalid('stream_options', 'stream_options is only allowed when stream is true.');
  }
  const temperature = body.temperature ?? defaults.temperature ?? 1;
  const topK = body.top_k ?? defaults.topK ?? 0;
  return {
    minTokens: body.min_tokens ?? 0,
    temperature: temperature < coldest ? 0 : temperature,
    topK: Math.min(Math.max(topK, 0), limits.vocabSize),
    // 0 keeps the best token alone, which any positive number below its probability does too.
    topP: Math.max(body.top_p ?? defaults.topP ?? 1, 1e-6),
    minP: body.min_p ?? defaults.minP ?? 0,
    presencePenalty: body.presence_penalty ?? 0,
    frequencyPenalty: body.frequency_penalty ?? 0,
    repetitionPenalty: body.repetition_penalty ?? defaults.repetitionPenalty ?? 1,
    seed: toSeed(body.seed ?? defaults.seed),
    logitBias: toLogitBias(body.logit_bias ?? {}, limits.vocabSize),
    stop: typeof body.stop === 'string' ? [body.stop] : (body.stop ?? []),
    stopTokenIds: tokenIds(body.stop_token_ids ?? [], limits.vocabSize, 'stop_token_ids'),
    ignoreEos: body.ignore_eos ?? false,
  };
}

const toSeed = (seed: number | undefined) => (seed === undefined ? null : BigInt.asUintN(64, BigInt(seed)));

/** Choice i of n: its own seed, so that a seeded request gives n different and repeatable choices. */
export const seedOf = (seed: bigint | null, choice: number) =>
  seed === null ? null : BigInt.asUintN(64, seed + BigInt(choice));

function toLogitBias(bias: Record<string, number>, vocabSize: number): Map<number, number> {
  const map = new Map<number, number>();
  for (const [key, value] of Object.entries(bias)) {
    const id = /^\d{1,10}$/.test(key) ? Number(key) : vocabSize;
    if (id >= vocabSize) {
      const shown = key.slice(0, 40);
      throw invalid(
        `logit_bias.${shown}`,
        `logit_bias keys must be token ids from 0 to ${vocabSize - 1}, not ${JSON.stringify(shown)}.`,
      );
    }
    map.set(id, value);
  }
  return map;
}

export function tokenIds(ids: readonly unknown[], vocabSize: number, param: string): number[] {
  const wrong = ids.findIndex((id) => !(Number.isInteger(id) && (id as number) >= 0 && (id as number) < vocabSize));
  if (wrong < 0) return ids as number[];
  throw invalid(
    `${param}.${wrong}`,
    `${param}.${wrong} must be a token id from 0 to ${vocabSize - 1}, not ${shown(ids[wrong])}.`,
  );
}

/** Encoding costs microseconds a byte: what cannot fit, however it is encoded, is refused before. */
export function checkTextFits(param: string, texts: readonly string[], { info, maxTokenBytes }: Engine): void {
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  // Each message costs a template at least one token.
  const least = Math.max(Math.ceil(bytes / maxTokenBytes), texts.length);
  if (least > info.maxModelLen) throw textTooLong(param, bytes, least, info.maxModelLen);
}

interface Budget {
  /** The body's field that holds the prompt. */
  param: string;
  promptTokens: number;
  /** Messages that truncation has left out of it. */
  droppedMessages?: number;
  /** null: not said. */
  asked: number | null;
  /** What is meant when nothing is said, as far as the context has room for it. */
  fallback: number;
  minTokens: number;
}

/** Tokens that may be generated; never a silent cut of what was asked for. */
export function completionTokens(budget: Budget, maxModelLen: number): number {
  const { param, promptTokens, droppedMessages = 0, asked, fallback, minTokens } = budget;
  const room = maxModelLen - promptTokens;
  const tokens = asked ?? Math.min(fallback, Math.max(room, 1));
  if (tokens > room) throw contextTooLong(param, promptTokens, droppedMessages, tokens, maxModelLen);
  if (minTokens > tokens)
    throw invalid('min_tokens', `min_tokens must be at most the ${tokens} tokens that may be generated, not ${minTokens}.`);
  return tokens;
}
