// Requests a minute: for each key, and for each address while no valid key is shown, so that keys cannot be guessed at speed.
import rateLimit, { normalizeIP } from '@fastify/rate-limit';
import type { FastifyRequest } from 'fastify';
import type { Authenticate } from './auth.ts';
import type { App } from './context.ts';
import { tooManyRequests } from './errors.ts';

export async function limitRate(app: App, perMinute: number, authenticate: Authenticate, hasKeys: boolean): Promise<void> {
  await app.register(rateLimit, {
    global: false,
    max: perMinute,
    timeWindow: 60_000,
    keyGenerator: (request) => (hasKeys ? tenantOf(request, authenticate) : null) ?? normalizeIP(request.ip),
    errorResponseBuilder: (_request, { max }) => tooManyRequests(max),
  });
  app.addHook('onRequest', app.rateLimit());
}

function tenantOf(request: FastifyRequest, authenticate: Authenticate): string | null {
  try {
    return authenticate(request.headers.authorization).id;
  } catch {
    return null;
  }
}
