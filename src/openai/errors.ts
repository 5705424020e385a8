// The wire's error shape, and a constructor for every mistake that a request body can contain.
import { ConversationError, TextError } from '../text/types.ts';

export interface ErrorBody {
  error: { message: string; type: string; param: string | null; code: string | null };
}

interface ErrorDetail {
  param?: string;
  code?: string;
  headers?: Record<string, string>;
}

/** A mistake whose message may be shown to the client. */
export class ApiError extends Error {
  override name = 'ApiError';
  readonly status: number;
  readonly type: string;
  readonly param: string | null;
  /** Not `code`, which Fastify writes to. */
  readonly wireCode: string | null;
  readonly headers: Record<string, string>;

  constructor(status: number, type: string, message: string, detail: ErrorDetail = {}) {
    super(message);
    this.status = status;
    this.type = type;
    this.param = detail.param ?? null;
    this.wireCode = detail.code ?? null;
    this.headers = detail.headers ?? {};
  }

  body(): ErrorBody {
    return { error: { message: this.message, type: this.type, param: this.param, code: this.wireCode } };
  }
}

export const invalid = (param: string, message: string) => new ApiError(400, 'invalid_request_error', message, { param });

export const unsupported = (param: string, accepted: string) =>
  new ApiError(400, 'invalid_request_error', `${param} is not supported by this server; ${accepted}.`, {
    param,
    code: 'unsupported_parameter',
  });

export const modelNotFound = (model: string, known: readonly string[]) =>
  new ApiError(
    404,
    'invalid_request_error',
    `The model ${clip(model)} does not exist; this server has ${known.map(clip).join(', ')}.`,
    {
      param: 'model',
      code: 'model_not_found',
    },
  );

export const contextTooLong = (param: string, promptTokens: number, dropped: number, asked: number, limit: number) =>
  new ApiError(
    400,
    'invalid_request_error',
    `This model's maximum context length is ${limit} tokens, but ${promptTokens} in the prompt${dropped > 0 ? ` (without its ${dropped} oldest messages)` : ''} and ${asked} for the completion were ` +
      `asked for (${promptTokens + asked} together); shorten the prompt or ask for fewer tokens.`,
    { param, code: 'context_length_exceeded' },
  );

/** `least`: tokens that the text has at any rate. */
export const textTooLong = (param: string, bytes: number, least: number, limit: number) =>
  new ApiError(
    400,
    'invalid_request_error',
    `This model's maximum context length is ${limit} tokens, but the prompt of ${bytes} bytes has at least ${least}; shorten it.`,
    { param, code: 'context_length_exceeded' },
  );

/** What a tokenizer or chat template refuses is the request's mistake; other errors pass unchanged. */
export async function blaming<T>(param: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof ConversationError) {
      const { message, code, index } = error;
      throw new ApiError(400, 'invalid_request_error', message, { param: index === null ? param : `${param}.${index}`, code });
    }
    throw error instanceof TextError ? invalid(param, error.message) : error;
  }
}

/** A client's text inside a message: quoted and short. */
export const clip = (text: string) => JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);

/** A client's value inside a message. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return clip(value);
  if (Array.isArray(value)) return `an array of ${value.length}`;
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}
