import { chatJob, chatPrompt, chatSampling } from '../../openai/chat.ts';
import { ChatBody } from '../../openai/schema.ts';
import type { App } from '../context.ts';
import { respond } from '../respond.ts';
import { begin, type GenerateDeps } from './generate.ts';

export function chatRoute(app: App, deps: GenerateDeps): void {
  const { engine, options } = deps;
  app.post('/v1/chat/completions', { schema: { body: ChatBody }, onRequest: deps.admit }, async (request, reply) => {
    const { body, tenant } = request;
    const envelope = begin(deps, 'chatcmpl', ChatBody, request, reply);
    const sampling = chatSampling(body, options.defaults, engine.info);
    const prompt = await chatPrompt(body, options.chat, sampling, engine);
    const job = chatJob({ envelope, body, sampling, prompt, salt: tenant.salt }, engine);
    return respond(deps, request, reply, job);
  });
}
