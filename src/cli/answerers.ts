// Who answers in `gattling chat`: an engine in this process, or a server that speaks the OpenAI API.
import type { ChatConfig } from '../config.ts';
import type { Engine } from '../engine/types.ts';
import type { SamplingDefaults } from '../models/generation.ts';
import { type Message, TextError } from '../text/types.ts';
import { plainRequest } from './plain-request.ts';
import { remote } from './remote.ts';

export interface Answerer {
  /** The answer's text in pieces; throws the signal's reason when aborted. */
  answer(messages: Message[], signal: AbortSignal): AsyncIterable<string>;
  close(): Promise<void>;
}

type Sampling = Pick<ChatConfig, 'maxTokens' | 'temperature'>;

export function engineAnswerer(engine: Engine, sampling: Sampling, defaults: SamplingDefaults): Answerer {
  return {
    async *answer(messages, signal) {
      const { ids } = await engine.prepareChat({ messages, addGenerationPrompt: true });
      const room = engine.info.maxModelLen - ids.length;
      if (room < 1) {
        throw new TextError(
          `The conversation has ${ids.length} tokens and the model takes ${engine.info.maxModelLen}; /reset begins a new one.`,
        );
      }
      const maxTokens = sampling.maxTokens > 0 ? Math.min(sampling.maxTokens, room) : room;
      const temperature = sampling.temperature ?? defaults.temperature ?? 1;
      const request = { ...plainRequest(ids, maxTokens), ...defaults, temperature };
      for await (const { text } of engine.generate(request, signal)) yield text;
    },
    close: () => engine.close(),
  };
}

export async function serverAnswerer(config: ChatConfig & { url: string }): Promise<Answerer> {
  const { url, maxTokens, temperature } = config;
  const server = remote(url, config.apiKey[0]);
  const model = config.model ?? (await server.firstModel(`gattling chat MODEL --url ${url}`));
  const sampling = {
    ...(maxTokens > 0 ? { max_tokens: maxTokens } : {}),
    ...(temperature === undefined ? {} : { temperature }),
  };
  return {
    async *answer(messages, signal) {
      for await (const { choices } of server.chat({ model, messages, ...sampling }, signal)) {
        yield choices?.[0]?.delta?.content ?? '';
      }
    },
    async close() {},
  };
}
