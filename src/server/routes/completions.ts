import { completionJob, completionSampling, encodePrompts, toPrompts } from '../../openai/completions.ts';
import { CompletionBody } from '../../openai/schema.ts';
import type { App } from '../context.ts';
import { respond } from '../respond.ts';
import { begin, type GenerateDeps } from './generate.ts';

export function completionRoute(app: App, deps: GenerateDeps): void {
  const { engine, options } = deps;
  app.post('/v1/completions', { schema: { body: CompletionBody }, onRequest: deps.admit }, async (request, reply) => {
    const { body, tenant } = request;
    const envelope = begin(deps, 'cmpl', CompletionBody, request, reply);
    const inputs = toPrompts(body.prompt, engine.info.vocabSize);
    const sampling = completionSampling(body, inputs.length, options.defaults, engine.info);
    const prompts = await encodePrompts(inputs, engine);
    const job = completionJob({ envelope, body, sampling, prompts, salt: tenant.salt }, engine);
    return respond(deps, request, reply, job);
  });
}
