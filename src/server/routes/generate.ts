// What routes that take a prompt have in common.
import type { FastifyReply, FastifyRequest, onRequestAsyncHookHandler } from 'fastify';
import type { TSchema } from 'typebox';
import { modelNotFound } from '../../openai/errors.ts';
import { ignoredFields, ignoredHeader } from '../../openai/fields.ts';
import { type Envelope, newEnvelope } from '../../openai/wire.ts';
import type { ServerOptions } from '../options.ts';
import type { RespondDeps } from '../respond.ts';
import type { Work } from '../work.ts';

export interface GenerateDeps extends RespondDeps {
  fingerprint: string;
  admit: onRequestAsyncHookHandler;
}

/** Hook: refuses while the server is closing, cancels when the client goes. */
export const admission =
  (work: Work): onRequestAsyncHookHandler =>
  async (request, reply) => {
    request.controller = work.enter(request, reply);
  };

/** Checks the model, if the body names one, and the fields outside the schema. Returns the name that answers carry. */
export function checkBody(
  { modelNames }: ServerOptions,
  schema: TSchema,
  request: FastifyRequest,
  reply: FastifyReply,
): string {
  const body = request.body as { model?: string | null };
  const [canonical] = modelNames;
  if (body.model != null && !modelNames.includes(body.model)) throw modelNotFound(body.model, modelNames);
  request.notes.model = canonical;
  const ignored = ignoredHeader(ignoredFields(schema, body));
  if (ignored !== '') reply.header('x-gattling-ignored', ignored);
  return canonical;
}

/** The same, and names the response. */
export function begin(
  { options, fingerprint }: GenerateDeps,
  prefix: 'chatcmpl' | 'cmpl',
  schema: TSchema,
  request: FastifyRequest,
  reply: FastifyReply,
): Envelope {
  return newEnvelope(prefix, checkBody(options, schema, request, reply), fingerprint);
}
