import { chatPrompt } from '../../openai/chat.ts';
import { rendered } from '../../openai/render.ts';
import { RenderBody } from '../../openai/schema.ts';
import type { App } from '../context.ts';
import { checkBody, type GenerateDeps } from './generate.ts';

export function renderRoute(app: App, { engine, options, admit }: GenerateDeps): void {
  app.post('/v1/chat/render', { schema: { body: RenderBody }, onRequest: admit }, async (request, reply) => {
    const { body, notes } = request;
    const model = checkBody(options, RenderBody, request, reply);
    const prompt = await chatPrompt(body, options.chat, { minTokens: body.min_tokens ?? 0 }, engine);
    notes.promptTokens = prompt.ids.length;
    return rendered(body, prompt, model, engine.info.maxModelLen);
  });
}
