// POST /v1/completions: body -> prompts and job, deltas -> chunks or a completion.
import type { Delta, Engine, GenerateRequest, TokenLogprob } from '../engine/types.ts';
import { blaming, invalid, unsupported } from './errors.ts';
import { EventTemplate, header } from './events.ts';
import { type TextLogprobs, TextLogprobsWriter } from './logprobs.ts';
import {
  checkTextFits,
  completionTokens,
  type ModelLimits,
  type Sampling,
  type SamplingDefaults,
  seedOf,
  tokenIds,
  toSampling,
} from './sampling.ts';
import { type CompletionBody, maxChoices } from './schema.ts';
import {
  type Choice,
  type Envelope,
  type Job,
  type StreamOptions,
  streamOptions,
  type Usage,
  type WireFormat,
} from './wire.ts';

/** What OpenAI documents for a body that says nothing. */
const defaultMaxTokens = 16;

/** One prompt as it was sent. */
export interface PromptInput {
  /** Where it is in the body. */
  param: string;
  value: string | number[];
}

const promptRule = `prompt must be a string, token ids, or up to ${maxChoices} of either in an array, none of them an empty array.`;

/** Token arrays are taken as they are. Null is an empty text. */
export function toPrompts(prompt: unknown, vocabSize: number): PromptInput[] {
  if (prompt === null || typeof prompt === 'string') return [{ param: 'prompt', value: prompt ?? '' }];
  if (!Array.isArray(prompt) || prompt.length === 0) throw invalid('prompt', promptRule);
  if (typeof prompt[0] === 'number') return [{ param: 'prompt', value: tokenIds(prompt, vocabSize, 'prompt') }];
  if (prompt.length > maxChoices) throw invalid('prompt', promptRule);
  return prompt.map((value: unknown, p): PromptInput => {
    const param = `prompt.${p}`;
    if (typeof value !== typeof prompt[0]) throw invalid(param, promptRule);
    if (typeof value === 'string') return { param, value };
    if (!Array.isArray(value) || value.length === 0) throw invalid(param, promptRule);
    return { param, value: tokenIds(value, vocabSize, param) };
  });
}

/** Checks that need no tokens. */
export function completionSampling(
  body: CompletionBody,
  prompts: number,
  defaults: SamplingDefaults,
  limits: ModelLimits,
): Sampling {
  const n = body.n ?? 1;
  if (body.best_of != null && body.best_of !== n) throw unsupported('best_of', 'leave it out or send the same number as n');
  if (prompts * n > maxChoices)
    throw invalid('n', `n times the number of prompts must be <= ${maxChoices}, not ${prompts * n}.`);
  return toSampling(body, defaults, limits);
}

/** Text gets BOS where the checkpoint puts it. */
export function encodePrompts(inputs: readonly PromptInput[], engine: Engine): Promise<Uint32Array[]> {
  return Promise.all(
    inputs.map(async ({ param, value }) => {
      if (typeof value !== 'string') return Uint32Array.from(value);
      checkTextFits(param, [value], engine);
      const { ids } = await blaming(param, engine.prepareText(value));
      if (ids.length === 0)
        throw invalid(param, `${param} must not be empty: this model's tokenizer adds no token of its own.`);
      return ids;
    }),
  );
}

export interface CompletionParts {
  envelope: Envelope;
  body: CompletionBody;
  sampling: Sampling;
  prompts: readonly Uint32Array[];
  salt: Uint8Array;
}

export function completionJob(parts: CompletionParts, engine: Engine): Job {
  const { envelope, body, prompts } = parts;
  const n = body.n ?? 1;
  const stream = streamOptions(body);
  const lines = prompts.flatMap((tokens) => {
    const echo = body.echo ? engine.decode(tokens) : '';
    const writer = () => (body.logprobs == null ? null : new TextLogprobsWriter(engine, tokens, echo));
    return Array.from({ length: n }, () => new Line(body.echo ?? false, echo, writer()));
  });
  return {
    envelope,
    requests: prompts.flatMap((tokens) => toRequests(parts, tokens, engine.info.maxModelLen)),
    n,
    dropped: null,
    stream,
    format: new CompletionFormat(envelope, lines, stream),
  };
}

function toRequests({ body, sampling, salt }: CompletionParts, tokens: Uint32Array, maxModelLen: number): GenerateRequest[] {
  const { minTokens, seed } = sampling;
  const asked = body.max_tokens ?? null;
  const budget = { param: 'prompt', promptTokens: tokens.length, asked, fallback: defaultMaxTokens, minTokens };
  const maxTokens = completionTokens(budget, maxModelLen);
  const logprobs = body.logprobs ?? null;
  const scored = body.echo ? logprobs : null;
  // The engine generates nothing only when it scores the prompt.
  const promptLogprobs = maxTokens === 0 ? (scored ?? 0) : scored;
  const request = { ...sampling, tokens, maxTokens, logprobs, promptLogprobs, salt };
  return Array.from({ length: body.n ?? 1 }, (_, k) => ({ ...request, seed: seedOf(seed, k) }));
}

/** What the format keeps of one choice. */
class Line {
  /** Whether the prompt's text comes first, and that text. */
  readonly #echoes: boolean;
  readonly echo: string;
  readonly #writer: TextLogprobsWriter | null;
  started = false;

  constructor(echoes: boolean, echo: string, writer: TextLogprobsWriter | null) {
    this.#echoes = echoes;
    this.echo = echo;
    this.#writer = writer;
  }

  scores(prompt: readonly TokenLogprob[], generated: readonly TokenLogprob[]): TextLogprobs | null {
    return this.#writer?.write(this.#echoes ? prompt : [], generated) ?? null;
  }
}

class CompletionFormat implements WireFormat {
  readonly #envelope: Envelope;
  readonly #lines: Line[];
  readonly #template: EventTemplate;
  #begun = false;

  constructor(envelope: Envelope, lines: Line[], stream: StreamOptions | null) {
    this.#envelope = envelope;
    this.#lines = lines;
    this.#template = new EventTemplate('text_completion', envelope, stream);
  }

  chunk(index: number, delta: Delta): string {
    const begin = this.#begun ? '' : this.#begin();
    const line = this.#line(index);
    const text = line.started ? delta.text : line.echo + delta.text;
    line.started = true;
    const prompt = delta.promptLogprobs ?? [];
    if (text === '' && delta.logprobs.length === 0 && prompt.length === 0 && delta.finish === null) return begin;
    const logprobs = line.scores(prompt, delta.logprobs);
    return begin + this.#event(index, text, logprobs, delta.finish?.reason ?? null);
  }

  usage(usage: Usage): string {
    return this.#template.usage(usage);
  }

  whole(choices: readonly Choice[], usage: Usage): object {
    return {
      ...header('text_completion', this.#envelope),
      choices: choices.map((choice, index) => ({
        index,
        text: this.#line(index).echo + choice.text,
        logprobs: this.#line(index).scores(choice.promptLogprobs, choice.logprobs),
        finish_reason: choice.reason,
      })),
      usage,
    };
  }

  /** With several choices, an empty chunk of each first, so that they appear in index order. */
  #begin(): string {
    this.#begun = true;
    if (this.#lines.length === 1) return '';
    return this.#lines.map((_, index) => this.#event(index, '', null, null)).join('');
  }

  #line(index: number): Line {
    const line = this.#lines[index];
    if (line === undefined) throw new RangeError(`choice ${index} of ${this.#lines.length}`);
    return line;
  }

  #event(index: number, text: string, logprobs: TextLogprobs | null, reason: string | null): string {
    const shown = JSON.stringify(text);
    const scores = logprobs === null ? 'null' : JSON.stringify(logprobs);
    const finish = reason === null ? 'null' : `"${reason}"`;
    return this.#template.chunk(`{"index":${index},"text":${shown},"logprobs":${scores},"finish_reason":${finish}}`, shown);
  }
}
