// A job's deltas become a response: one object, or a stream of events.
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Delta, Engine } from '../engine/types.ts';
import { ApiError } from '../openai/errors.ts';
import { Choice, type Job, UsageCount } from '../openai/wire.ts';
import { ClientGone, toApiError } from './errors.ts';
import type { RequestNotes } from './log.ts';
import type { ServerOptions } from './options.ts';
import { type Pinger, SseStream } from './sse.ts';

type Emit = (index: number, delta: Delta) => void;

export interface RespondDeps {
  engine: Engine;
  options: ServerOptions;
  pinger: Pinger;
}

/** Nothing the client could have done better fails after this is called. */
export async function respond(deps: RespondDeps, request: FastifyRequest, reply: FastifyReply, job: Job): Promise<unknown> {
  request.controller.signal.throwIfAborted();
  request.notes.promptTokens = job.requests.reduce((sum, { tokens }, c) => (c % job.n === 0 ? sum + tokens.length : sum), 0);
  return job.stream ? stream(deps, request, reply, job) : gather(deps, request, job);
}

async function gather({ engine }: RespondDeps, { notes, controller }: FastifyRequest, job: Job): Promise<object> {
  const choices = job.requests.map(() => new Choice());
  const count = new UsageCount(job);
  await run(engine, job, controller, (index, delta) => {
    choices[index]?.add(delta);
    note(notes, count, index, delta);
  });
  return job.format.whole(choices, finished(notes, count));
}

async function stream(deps: RespondDeps, request: FastifyRequest, reply: FastifyReply, job: Job): Promise<void> {
  const { notes, controller } = request;
  reply.hijack();
  const sse = new SseStream(reply.raw, reply.getHeaders(), deps.options.streamBuffer, deps.pinger);
  const count = new UsageCount(job);
  try {
    await run(deps.engine, job, controller, (index, delta) => {
      note(notes, count, index, delta);
      const events = job.format.chunk(index, delta);
      if (events !== '') sse.write(events);
    });
    const usage = finished(notes, count);
    sse.end(`${job.stream?.includeUsage ? job.format.usage(usage) : ''}data: [DONE]\n\n`);
  } catch (error) {
    const shown = toApiError(error, request.id);
    if (!(error instanceof ApiError) && !(error instanceof ClientGone)) request.log.error({ err: error }, 'stream failed');
    notes.finish = 'error';
    notes.streamError = shown.status;
    sse.end(`data: ${JSON.stringify(shown.body())}\n\n`);
  }
}

/** All choices at once. The first failure stops the others, and is thrown when all have ended. */
async function run(engine: Engine, job: Job, controller: AbortController, emit: Emit): Promise<void> {
  const { signal } = controller;
  const choices = job.requests.map(async (request, index) => {
    try {
      for await (const delta of engine.generate(request, signal)) emit(index, delta);
    } catch (error) {
      controller.abort(error);
    }
  });
  await Promise.all(choices);
  signal.throwIfAborted();
}

function note(notes: RequestNotes, count: UsageCount, index: number, delta: Delta): void {
  notes.firstToken ??= performance.now() - notes.started;
  if (delta.finish === null) return;
  count.add(index, delta.finish);
  notes.finish ??= delta.finish.reason;
}

function finished(notes: RequestNotes, count: UsageCount) {
  const usage = count.total();
  notes.completionTokens = usage.completion_tokens;
  notes.cachedTokens = usage.prompt_tokens_details.cached_tokens;
  return usage;
}
