// What the two routes that generate have in common.
import type { FastifyReply, FastifyRequest, onRequestAsyncHookHandler } from 'fastify';
import type { TSchema } from 'typebox';
import { modelNotFound } from '../../openai/errors.ts';
import { ignoredFields, ignoredHeader } from '../../openai/fields.ts';
import { type Envelope, newEnvelope } from '../../openai/wire.ts';
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
    request.controller = work.enter(reply.raw);
  };

/** Checks the model and the fields outside the schema, and names the response. */
export function begin(
  { options, fingerprint }: GenerateDeps,
  prefix: 'chatcmpl' | 'cmpl',
  schema: TSchema,
  request: FastifyRequest,
  reply: FastifyReply,
): Envelope {
  const body = request.body as { model: string };
  const [canonical] = options.modelNames;
  if (!options.modelNames.includes(body.model)) throw modelNotFound(body.model, options.modelNames);
  request.notes.model = canonical;
  const ignored = ignoredHeader(ignoredFields(schema, body));
  if (ignored !== '') reply.header('x-gattling-ignored', ignored);
  return newEnvelope(prefix, canonical, fingerprint);
}
