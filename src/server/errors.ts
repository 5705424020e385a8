// Mistakes that HTTP knows of, and the one place where an error becomes a response.
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiError, clip } from '../openai/errors.ts';
import { newRequestId } from './request-id.ts';

const wrong = 'invalid_request_error';
const goodbyeMilliseconds = 1000;

export const missingKey = () => unauthorized('No API key was sent; send it in the header "Authorization: Bearer KEY".');
export const wrongKey = () => unauthorized('The API key that was sent is not one of this server.');
const unauthorized = (message: string) =>
  new ApiError(401, wrong, message, { code: 'invalid_api_key', headers: { 'www-authenticate': 'Bearer' } });

export const unknownRoute = (method: string, path: string) =>
  new ApiError(404, wrong, `There is no ${method} ${clip(path)}; see GET /v1/models and POST /v1/chat/completions.`, {
    code: 'not_found',
  });

export const wrongMethod = (method: string, path: string, allowed: readonly string[]) =>
  new ApiError(405, wrong, `${clip(path)} takes ${allowed.join(', ')}, not ${method}.`, {
    code: 'method_not_allowed',
    headers: { allow: allowed.join(', ') },
  });

export const notJson = (detail: string) =>
  new ApiError(400, wrong, `The body is not JSON: ${detail}.`, { code: 'invalid_json' });
export const tooDeep = (limit: number) =>
  new ApiError(400, wrong, `The body nests deeper than ${limit} levels.`, { code: 'invalid_json' });
export const tooManyMembers = (limit: number) =>
  new ApiError(400, wrong, `The body has more than ${limit} object members.`, { code: 'invalid_json' });
export const encodedBody = (encoding: string) =>
  new ApiError(415, wrong, `The body must be sent without Content-Encoding, not as ${clip(encoding)}.`, {
    code: 'unsupported_media_type',
  });

export const tooManyRequests = (limit: number) =>
  new ApiError(429, 'rate_limit_error', `More than ${limit} requests in a minute; try again later.`, {
    code: 'rate_limit_exceeded',
  });

export const closing = () =>
  new ApiError(503, 'server_error', 'The server is shutting down; send the request again.', {
    code: 'shutting_down',
    headers: { 'retry-after': '5' },
  });
export const engineSilent = (seconds: number) =>
  new ApiError(503, 'server_error', `The engine did not answer within ${seconds} s.`, {
    code: 'engine_not_ready',
    headers: { 'retry-after': '5' },
  });

/** The client went away, or stopped reading: nobody sees this error, and it is not the engine's. */
export class ClientGone extends Error {
  override name = 'ClientGone';
}

/** What Fastify finds wrong before a handler runs, in the wire's terms. */
const frameworkErrors: Record<string, [status: number, message: string, code: string]> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [415, 'The body must be sent with Content-Type: application/json.', 'unsupported_media_type'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: [400, 'The body is not as long as Content-Length says.', 'invalid_body'],
  FST_ERR_CTP_BODY_TOO_LARGE: [413, 'The body is longer than this server takes.', 'body_too_large'],
  FST_ERR_BAD_URL: [400, 'The URL has a percent sign that does not start a valid UTF-8 escape.', 'invalid_url'],
};

export function toApiError(error: unknown, requestId: string): ApiError {
  if (error instanceof ApiError) return error;
  const { code, statusCode = 500 } = error as { code?: string; statusCode?: number };
  const known = code === undefined ? undefined : frameworkErrors[code];
  if (known) return new ApiError(known[0], wrong, known[1], { code: known[2] });
  if (error instanceof ClientGone)
    return new ApiError(499, wrong, 'The client closed the connection.', { code: 'client_gone' });
  if (statusCode < 500) return new ApiError(statusCode, wrong, `${STATUS_CODES[statusCode] ?? 'Bad request'}.`);
  const message = `The server failed on this request; its log says more under request id ${clip(requestId)}.`;
  return new ApiError(500, 'server_error', message, { code: 'internal_error' });
}

export function handleError(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const shown = toApiError(error, request.id);
  if (shown.status === 500) request.log.error({ err: error }, 'request failed');
  reply.header('x-request-id', request.id).headers(shown.headers).code(shown.status).send(shown.body());
}

/** HTTP that Node's parser refuses never becomes a request. */
export function handleClientError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable || answered(socket)) {
    socket.destroy();
    return;
  }
  const status = error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
  const messages = {
    400: 'The request is not valid HTTP/1.1; its method, headers or length are wrong.',
    408: 'The request took too long to arrive.',
    431: 'The request headers are too large.',
  };
  const body = JSON.stringify(new ApiError(status, wrong, messages[status]).body());
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${newRequestId()}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
  // Time to read it, for clients that never close.
  const timer = setTimeout(() => socket.destroy(), goodbyeMilliseconds);
  socket.once('close', () => clearTimeout(timer));
}

/** A response under way must not get another one in its middle. */
function answered(socket: Socket): boolean {
  return (socket as Socket & { _httpMessage?: { headersSent: boolean } })._httpMessage?.headersSent ?? false;
}
