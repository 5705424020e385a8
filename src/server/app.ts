// The HTTP server, wired by hand: hooks, routes, errors, closing.
import Fastify, { type FastifyBaseLogger, type FastifyRequest, LogController } from 'fastify';
import type { TSchema } from 'typebox';
import type { Engine } from '../engine/types.ts';
import { validator } from '../openai/explain.ts';
import { systemFingerprint } from '../openai/wire.ts';
import { type Authenticate, authenticator } from './auth.ts';
import { acceptJson } from './body.ts';
import { type App, declareContext } from './context.ts';
import { limitUnread, onceEnded } from './ended.ts';
import { handleClientError, handleError, unknownRoute, wrongMethod } from './errors.ts';
import { limitRate } from './limits.ts';
import { logRequest, newNotes } from './log.ts';
import { collectMethods, type MethodsOf } from './methods.ts';
import type { ServerOptions } from './options.ts';
import { requestId } from './request-id.ts';
import { chatRoute } from './routes/chat.ts';
import { completionRoute } from './routes/completions.ts';
import { admission } from './routes/generate.ts';
import { modelRoutes } from './routes/models.ts';
import { renderRoute } from './routes/render.ts';
import { statusRoutes } from './routes/status.ts';
import { tokenizeRoutes } from './routes/tokenize.ts';
import { Pinger } from './sse.ts';
import { Work } from './work.ts';

export interface AppDeps {
  engine: Engine;
  options: ServerOptions;
  logger: FastifyBaseLogger;
}

/** Seconds in which a request's headers and body must have arrived. */
const arrivalSeconds = 60;

export function buildApp({ engine, options, logger }: AppDeps): App {
  const work = new Work();
  const pinger = new Pinger(options.pingSeconds);
  const app = create(options, logger);
  const methodsOf = collectMethods(app);
  declareContext(app);
  acceptJson(app);
  app.setValidatorCompiler<TSchema>(({ schema }) => validator(schema));
  app.setErrorHandler(handleError);
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
    request.notes = newNotes();
    onceEnded(request, reply, () => logRequest(request, reply));
    limitUnread(request, reply, options.unreadSeconds);
  });
  statusRoutes(app, engine, options, work);
  app.register(async (scope: App) => {
    await guard(scope, options, methodsOf);
    const fingerprint = systemFingerprint(options.version, options.modelNames[0], engine.info);
    const deps = { engine, options, pinger, fingerprint, admit: admission(work) };
    modelRoutes(scope, options, engine.info);
    chatRoute(scope, deps);
    completionRoute(scope, deps);
    renderRoute(scope, deps);
    tokenizeRoutes(scope, deps);
  });
  // Before connections are cut (forceCloseConnections), running requests may end.
  app.addHook('preClose', () => work.drain(options.drainSeconds * 1000));
  app.addHook('onClose', async () => pinger.close());
  return app;
}

function create(options: ServerOptions, logger: FastifyBaseLogger): App {
  return Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'id' }),
    genReqId: requestId,
    bodyLimit: options.bodyLimit,
    requestTimeout: arrivalSeconds * 1000,
    http: { maxHeaderSize: 16 * 1024 },
    // Idle keep-alive sockets and cut clients would hold close() for a minute.
    forceCloseConnections: true,
    // While closing, the routes answer for themselves (503 in our own words, /health 200).
    return503OnClosing: false,
    clientErrorHandler: handleClientError,
    frameworkErrors: handleError,
  });
}

/** Everything in this scope needs a key, unknown paths too. Rate limits come first: they also slow down guessing. */
async function guard(scope: App, options: ServerOptions, methodsOf: MethodsOf): Promise<void> {
  const authenticate: Authenticate = authenticator(options.apiKeys);
  if (options.rateLimit !== null) await limitRate(scope, options.rateLimit, authenticate, options.apiKeys.length > 0);
  scope.addHook('onRequest', async (request) => {
    request.tenant = authenticate(request.headers.authorization);
    // Before a body is read: its type and length do not matter here.
    if (request.is404) throw notFound(request, methodsOf);
  });
  scope.setNotFoundHandler((request) => {
    throw notFound(request, methodsOf);
  });
}

function notFound(request: FastifyRequest, methodsOf: MethodsOf) {
  const path = request.url.split('?', 1)[0] ?? '';
  const allowed = methodsOf(path);
  return allowed.length > 0 ? wrongMethod(request.method, path, allowed) : unknownRoute(request.method, path);
}
