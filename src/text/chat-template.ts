// The template that turns a conversation into one string: the user's choice, else the model's own, never a guess.
import { join } from 'node:path';
import { Template } from '@huggingface/jinja';
import { traitsOf } from './conversation/traits.ts';
import { type GgufMetadata, vocabularyOf } from './gguf.ts';
import { compareAsPython, comparisons } from './jinja-equality.ts';
import { BUILT_IN } from './templates.ts';
import { readIfThere, readTokenizerConfig, type TokenizerConfig } from './tokenizer-config.ts';
import { isRecord } from './tokenizer-json.ts';
import { type ChatTemplate, type Conversation, type TemplateTraits, TextError } from './types.ts';

const NAMES = [...BUILT_IN.keys()].join(', ');

/** For whoever is asked to chat with a model for which loadChatTemplate gave null. */
export function noChatTemplate(): TextError {
  return new TextError(
    `This model has no chat template; start the server with --chat-template and a file or one of ${NAMES}, or use /v1/completions.`,
  );
}

/** choice: --chat-template, a built-in's name or a file; null: the model's own. null comes back when the model has none. */
export async function loadChatTemplate(folder: string, choice: string | null): Promise<ChatTemplate | null> {
  const config = await readTokenizerConfig(folder);
  const found = choice === null ? await modelTemplate(folder, config) : await chosenTemplate(choice);
  return found && new JinjaTemplate(found, config.bosToken ?? '', config.eosToken ?? '');
}

/** The same of a GGUF file, whose metadata holds its template. */
export async function ggufChatTemplate(
  metadata: GgufMetadata,
  path: string,
  choice: string | null,
): Promise<ChatTemplate | null> {
  const { bosToken, eosToken } = vocabularyOf(metadata, path);
  const own = metadata['tokenizer.chat_template'];
  if (choice === null && typeof own !== 'string') return null;
  const found = choice === null ? { text: String(own), source: path } : await chosenTemplate(choice);
  return new JinjaTemplate(found, bosToken ?? '', eosToken ?? '');
}

/** The text of the model's own template; null when it has none. */
export async function ownTemplate(folder: string): Promise<string | null> {
  return (await modelTemplate(folder, await readTokenizerConfig(folder)))?.text ?? null;
}

interface Found {
  text: string;
  /** For errors and the log. */
  source: string;
}

async function chosenTemplate(choice: string): Promise<Found> {
  const builtIn = BUILT_IN.get(choice);
  if (builtIn !== undefined) return { text: builtIn, source: choice };
  const file = await readIfThere(choice);
  if (file === null) throw new TextError(`--chat-template "${choice}" is neither a file nor one of ${NAMES}.`);
  return { text: file.toString(), source: choice };
}

async function modelTemplate(folder: string, { chatTemplate }: TokenizerConfig): Promise<Found | null> {
  const path = join(folder, 'chat_template.jinja');
  const file = await readIfThere(path);
  if (file !== null) return { text: file.toString(), source: path };
  if (chatTemplate === undefined || chatTemplate === null) return null;
  const source = join(folder, 'tokenizer_config.json');
  if (typeof chatTemplate === 'string') return { text: chatTemplate, source };
  return { text: defaultOf(chatTemplate, source), source };
}

/** A list of {name, template}. */
function defaultOf(list: unknown, source: string): string {
  if (!Array.isArray(list) || !list.every((entry) => isRecord(entry) && typeof entry['template'] === 'string')) {
    throw new TextError(`${source}: "chat_template" must be a string or a list of {"name", "template"}.`);
  }
  const entry = list.find(({ name }) => name === 'default');
  if (entry) return entry.template;
  const names = list.map(({ name }) => name).join(', ');
  throw new TextError(`${source} has chat templates ${names} but none named "default"; choose a file by --chat-template.`);
}

class JinjaTemplate implements ChatTemplate {
  readonly source: string;
  readonly traits: TemplateTraits;
  readonly #template: Template;
  readonly #tokens: { bos_token: string; eos_token: string };

  constructor({ text, source }: Found, bosToken: string, eosToken: string) {
    this.source = source;
    this.#tokens = { bos_token: bosToken, eos_token: eosToken };
    try {
      this.#template = new Template(text);
    } catch (error) {
      throw new TextError(`The chat template ${source} is not valid Jinja (${(error as Error).message}).`);
    }
    // The library's raise_exception cannot be told from its own errors, nor replaced among the variables: the template replaces it.
    this.#template.parsed.body.unshift(...new Template('{% set raise_exception = refuse %}').parsed.body);
    compareAsPython(this.#template.parsed);
    this.traits = traitsOf((messages) => this.render(messages));
  }

  render({ messages, addGenerationPrompt }: Pick<Conversation, 'messages' | 'addGenerationPrompt'>): string {
    try {
      return this.#template.render({
        ...this.#tokens,
        messages,
        add_generation_prompt: addGenerationPrompt,
        tools: null,
        documents: null,
        refuse,
        ...comparisons,
      });
    } catch (error) {
      if (error instanceof TextError) throw error;
      throw new TextError(`The chat template ${this.source} cannot render this conversation (${(error as Error).message}).`);
    }
  }
}

function refuse(sentence: unknown): never {
  throw new TextError(String(sentence));
}
