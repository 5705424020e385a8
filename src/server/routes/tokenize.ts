import { DetokenizeBody, TokenizeBody } from '../../openai/schema.ts';
import { detokenized, encodeAny, tokenized, tokenizeForm } from '../../openai/tokenize.ts';
import type { App } from '../context.ts';
import { checkBody, type GenerateDeps } from './generate.ts';

export function tokenizeRoutes(app: App, { engine, options, admit }: GenerateDeps): void {
  app.post('/tokenize', { schema: { body: TokenizeBody }, onRequest: admit }, async (request, reply) => {
    const { body, notes } = request;
    checkBody(options, tokenizeForm(body), request, reply);
    const ids = await encodeAny(body, options.chat, engine);
    notes.promptTokens = ids.length;
    return tokenized(ids, body.return_token_strs ?? false, engine);
  });

  app.post('/detokenize', { schema: { body: DetokenizeBody }, onRequest: admit }, async (request, reply) => {
    checkBody(options, DetokenizeBody, request, reply);
    return detokenized(request.body, engine);
  });
}
