// What both wire formats share: the envelope of a response, usage, gathered choices.
import { createHash, randomBytes } from 'node:crypto';
import type { Delta, Finish, GenerateRequest, TokenLogprob } from '../engine/types.ts';
import type { EngineInfo } from '../native/addon.ts';
import type { Dropped } from '../text/types.ts';
import type { SamplingBody } from './schema.ts';

/** Fields that every object of one response repeats. */
export interface Envelope {
  id: string;
  /** Unix seconds. */
  created: number;
  model: string;
  fingerprint: string;
}

export const newEnvelope = (prefix: 'chatcmpl' | 'cmpl', model: string, fingerprint: string): Envelope => ({
  id: `${prefix}-${randomBytes(16).toString('hex')}`,
  created: Math.floor(Date.now() / 1000),
  model,
  fingerprint,
});

/** Equal as long as the same seed gives the same tokens: program, model and arithmetic. */
export function systemFingerprint(version: string, model: string, info: EngineInfo): string {
  const identity = JSON.stringify([version, model, info.device, info.dtype, info.kvCacheDtype, info.quantization]);
  return `fp_${createHash('sha256').update(identity).digest('hex').slice(0, 12)}`;
}

/** Everything that decides a response: choice i is what the engine makes of requests[i]. */
export interface Job {
  envelope: Envelope;
  /** Prompt p's choices are [p * n, (p + 1) * n). */
  requests: GenerateRequest[];
  n: number;
  /** null: truncation was not asked for. */
  dropped: Dropped | null;
  stream: StreamOptions | null;
  format: WireFormat;
}

export interface StreamOptions {
  includeUsage: boolean;
  /** Pads each chunk with random text, so that packet sizes say less about tokens. */
  obfuscate: boolean;
}

export function streamOptions(body: SamplingBody): StreamOptions | null {
  if (body.stream !== true) return null;
  return {
    includeUsage: body.stream_options?.include_usage ?? false,
    obfuscate: body.stream_options?.include_obfuscation ?? false,
  };
}

/** One endpoint's way to say what the engine made. One instance serves one response. */
export interface WireFormat {
  /** A delta as zero or more events, each "data: {...}\n\n". */
  chunk(index: number, delta: Delta): string;
  usage(usage: Usage): string;
  whole(choices: readonly Choice[], usage: Usage): object;
}

/** A choice's deltas in one piece. */
export class Choice {
  text = '';
  readonly logprobs: TokenLogprob[] = [];
  promptLogprobs: TokenLogprob[] = [];
  reason: Finish['reason'] | null = null;

  add(delta: Delta): void {
    this.text += delta.text;
    this.logprobs.push(...delta.logprobs);
    if (delta.promptLogprobs) this.promptLogprobs = delta.promptLogprobs;
    if (delta.finish) this.reason = delta.finish.reason;
  }
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details: { cached_tokens: number };
  truncation?: { dropped_messages: number; dropped_tokens: number };
}

/** A prompt counts once however many choices it has; generated tokens always count. */
export class UsageCount {
  #prompt = 0;
  #cached = 0;
  #completion = 0;
  readonly #n: number;
  readonly #dropped: Dropped | null;

  constructor({ n, dropped }: Pick<Job, 'n' | 'dropped'>) {
    this.#n = n;
    this.#dropped = dropped;
  }

  add(index: number, finish: Finish): void {
    this.#completion += finish.completionTokens;
    if (index % this.#n !== 0) return;
    this.#prompt += finish.promptTokens;
    this.#cached += finish.cachedTokens;
  }

  total(): Usage {
    const usage: Usage = {
      prompt_tokens: this.#prompt,
      completion_tokens: this.#completion,
      total_tokens: this.#prompt + this.#completion,
      prompt_tokens_details: { cached_tokens: this.#cached },
    };
    if (this.#dropped === null) return usage;
    const { messages, tokens } = this.#dropped;
    return { ...usage, truncation: { dropped_messages: messages, dropped_tokens: tokens } };
  }
}
