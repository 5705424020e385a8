import type { EngineInfo } from '../../native/addon.ts';
import { modelNotFound } from '../../openai/errors.ts';
import type { App } from '../context.ts';
import type { ServerOptions } from '../options.ts';

export function modelRoutes(app: App, options: ServerOptions, info: EngineInfo): void {
  const model = (id: string) => ({
    id,
    object: 'model',
    created: options.created,
    owned_by: 'gattling',
    max_model_len: info.maxModelLen,
  });

  app.get('/v1/models', async () => ({ object: 'list', data: options.modelNames.map(model) }));

  // A wildcard: ids may contain slashes.
  app.get('/v1/models/*', async (request) => {
    const { '*': id } = request.params as { '*': string };
    if (!options.modelNames.includes(id)) throw modelNotFound(id, options.modelNames);
    return model(id);
  });
}
