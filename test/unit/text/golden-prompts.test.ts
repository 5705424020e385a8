// Prompts byte for byte as transformers makes them with each format's official template: test/fixtures/prompts/make.py.
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadChatTemplate } from '../../../src/text/chat-template.ts';
import { encodeChat } from '../../../src/text/prompt.ts';
import { loadTokenizer } from '../../../src/text/tokenizer.ts';
import type { ChatTemplate, Conversation, Message, Tokenizer } from '../../../src/text/types.ts';
import { folderWith, isAbsent, LLAMA_2, MODELS } from './references.ts';

interface Golden {
  template: string;
  /** Whether each run of text after a control token gets SentencePiece's space. */
  legacy: boolean;
  added: string[];
  bos: string;
  eos: string;
  cases: Case[];
}

interface Case {
  name: string;
  continue_final_message: boolean;
  messages: Message[];
  /** As the official template takes them; null: as they are. */
  normalised: Message[] | null;
  text: string;
  ids: number[];
  /** With Llama 2's own vocabulary. */
  llama_2_ids?: number[];
}

const FORMATS = ['llama-2', 'llama-3', 'mistral', 'chatml'];
const golden = (format: string): Golden => JSON.parse(readFileSync(`test/fixtures/prompts/${format}.json`, 'utf8'));

/** As transformers has it: an added token's id is the next that is free. */
function configOf({ legacy, added, bos, eos }: Golden): Record<string, unknown> {
  const decoder = Object.fromEntries(added.map((content, i) => [512 + i, { content, special: true }]));
  return { legacy, bos_token: bos, eos_token: eos, added_tokens_decoder: decoder };
}

const fromModel = (file: Golden, model = `${MODELS}/own512.tokenizer.model`) =>
  folderWith({ 'tokenizer.model': { from: model }, 'tokenizer_config.json': JSON.stringify(configOf(file)) });

/** The same in the other form that checkpoints come in. */
function fromJson(file: Golden): string {
  const json = JSON.parse(readFileSync(`${MODELS}/mha-rope10k/tokenizer.json`, 'utf8'));
  json.pre_tokenizer.prepend_scheme = file.legacy ? 'always' : 'first';
  return folderWith({ 'tokenizer.json': JSON.stringify(json), 'tokenizer_config.json': JSON.stringify(configOf(file)) });
}

async function templateOf({ template, bos, eos }: Golden): Promise<ChatTemplate> {
  const config = JSON.stringify({ chat_template: template, bos_token: bos, eos_token: eos });
  return (await loadChatTemplate(folderWith({ 'tokenizer_config.json': config }), null)) as ChatTemplate;
}

const builtIn = async (name: string) => (await loadChatTemplate(folderWith({}), name)) as ChatTemplate;

const conversation = (messages: Message[], continueFinalMessage: boolean): Conversation => ({
  messages,
  continueFinalMessage,
  addGenerationPrompt: !continueFinalMessage,
});

describe.each(FORMATS)('%s', (format) => {
  const file = golden(format);
  const folders = [
    ['tokenizer.model', fromModel],
    ['tokenizer.json', fromJson],
  ] as const;

  test('there are at least twelve conversations', () => expect(file.cases.length).toBeGreaterThanOrEqual(12));

  describe.each(folders)('%s', (_, folder) => {
    // Mistral's own code encodes each piece with SentencePiece's space; the published template writes that space itself.
    const spaced = format === 'mistral';
    let tokenizer: Tokenizer;
    let spacing: Tokenizer;
    let official: ChatTemplate;
    let own: ChatTemplate;
    beforeAll(async () => {
      tokenizer = await loadTokenizer(folder(file));
      spacing = await loadTokenizer(folder({ ...file, legacy: file.legacy || spaced }));
      official = await templateOf(file);
      own = await builtIn(format);
    });

    test.each(file.cases)('the official template: $name', async ({ messages, normalised, text, ids, ...rest }) => {
      const prompt = await encodeChat(tokenizer, official, conversation(normalised ?? messages, rest.continue_final_message));
      expect([prompt.text, [...prompt.ids]]).toEqual([text, ids]);
    });

    test.each(file.cases)('the built-in template: $name', async ({ messages, text, ids, continue_final_message }) => {
      const prompt = await encodeChat(spacing, own, conversation(messages, continue_final_message));
      const rendered = spaced ? prompt.text.replaceAll(/(<s>|<\/s>)\[INST\]/g, '$1 [INST]') : prompt.text;
      expect([rendered, [...prompt.ids]]).toEqual([text, ids]);
    });
  });
});

/** Mistral's published template writes a blank line after an empty system message; mistral-common knows no empty one. */
const differs = (format: string, name: string) => format === 'mistral' && name === 'empty system';

test.each(FORMATS)('%s: messages as they are sent come to the same through the official template', async (format) => {
  const file = golden(format);
  const tokenizer = await loadTokenizer(fromModel(file));
  const template = await templateOf(file);
  for (const { name, messages, text, ids, continue_final_message } of file.cases) {
    if (differs(format, name)) continue;
    const prompt = await encodeChat(tokenizer, template, conversation(messages, continue_final_message));
    expect([name, prompt.text, [...prompt.ids]]).toEqual([name, text, ids]);
  }
});

test.each(FORMATS)('%s: spans and their texts cover the prompt', async (format) => {
  const file = golden(format);
  const tokenizer = await loadTokenizer(fromModel(file));
  for (const { messages, continue_final_message } of file.cases) {
    const { ids, spans, text } = await encodeChat(
      tokenizer,
      await builtIn(format),
      conversation(messages, continue_final_message),
    );
    const starts = spans.map((_, k) => spans[k - 1]?.textEnd ?? 0);
    expect(spans.map(({ start }, k) => [start, starts[k]])).toEqual([
      [0, 0],
      ...spans.slice(0, -1).map(({ end, textEnd }) => [end, textEnd]),
    ]);
    expect([spans.at(-1)?.end, spans.at(-1)?.textEnd]).toEqual([ids.length, text.length]);
    for (const [m, { content }] of messages.entries()) {
      const shown = spans.map(({ message, textEnd }, k) => (message === m ? text.slice(starts[k], textEnd) : '')).join('');
      expect(shown.trim()).toBe(content.trim());
    }
  }
});

describe.skipIf(isAbsent(LLAMA_2))("Llama 2's own vocabulary", () => {
  const file = golden('llama-2');
  let tokenizer: Tokenizer;
  beforeAll(async () => {
    tokenizer = await loadTokenizer(fromModel(file, LLAMA_2));
  });
  test.each(file.cases)('$name', async ({ messages, llama_2_ids, continue_final_message }) => {
    const prompt = await encodeChat(tokenizer, await builtIn('llama-2'), conversation(messages, continue_final_message));
    expect([...prompt.ids]).toEqual(llama_2_ids);
  });
});
