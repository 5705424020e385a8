// What a request carries from hook to handler.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify';
import type { Tenant } from './auth.ts';
import type { RequestNotes } from './log.ts';

declare module 'fastify' {
  interface FastifyRequest {
    notes: RequestNotes;
    /** After authentication. */
    tenant: Tenant;
    /** On routes that generate: aborted when the client is gone. */
    controller: AbortController;
  }
}

export type App = FastifyInstance<RawServerDefault, IncomingMessage, ServerResponse, FastifyBaseLogger, TypeBoxTypeProvider>;

/** Declared before the first request, so that all requests have one shape; the hooks fill them in. */
export function declareContext(app: App): void {
  for (const field of ['notes', 'tenant', 'controller'] as const) app.decorateRequest(field);
}
