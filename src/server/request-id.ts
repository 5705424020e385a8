import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

export const newRequestId = () => `req_${randomUUID().replaceAll('-', '')}`;

/** The client's own id when it can go into a header and a log line. */
export function requestId(request: Pick<IncomingMessage, 'headers'>): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && /^[\x20-\x7e]{1,128}$/.test(given) ? given : newRequestId();
}
