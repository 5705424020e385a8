// One schema per command = type, default, help text, flag (--max-num-seqs), environment (GATTLING_MAX_NUM_SEQS) and file key.
// Keywords beyond JSON Schema: `placeholder` (how help names the value), `positional`, `format: 'bytes'` (takes 2GiB and the like).
import Type, { type Static } from 'typebox';
import { SYSTEM_MODES } from './text/types.ts';

const DTYPES = ['auto', 'float32', 'bfloat16', 'float16'] as const;

const bytes = (description: string) =>
  Type.Integer({ default: 0, minimum: 0, format: 'bytes', placeholder: 'SIZE', description });
const count = (
  description: string,
  options: { default?: number; minimum?: number; maximum?: number; multipleOf?: number } = {},
) => Type.Integer({ default: 0, minimum: 0, maximum: 2 ** 31 - 1, placeholder: 'N', description, ...options });

const model = (description: string) => Type.Optional(Type.String({ positional: true, placeholder: 'MODEL', description }));

/** What decides where a model runs, and what memory it takes. */
const memory = {
  device: Type.Enum(['auto', 'cpu', 'cuda'], {
    default: 'auto',
    description: 'Where the model runs; auto takes a GPU when there is one.',
  }),
  dtype: Type.Enum(DTYPES, {
    default: 'auto',
    description: 'Type of weights and activations; auto takes the one of the checkpoint.',
  }),
  kvCacheDtype: Type.Enum([...DTYPES, 'int8'], {
    default: 'auto',
    description: 'Type of the KV cache; auto takes the one of the activations, int8 (on the CPU) half of its memory.',
  }),
  quantization: Type.Enum(['none', 'int8', 'int4', 'int4-g128'], {
    default: 'none',
    description: 'Makes dense weights integers at load: 8 bits, or 4 bits in groups of 32 or 128.',
  }),
  maxModelLen: count('Most tokens of a request, prompt and answer together; 0 takes what the checkpoint was made for.'),
  maxNumSeqs: count('Most sequences that are computed at once; others wait.', { default: 256, minimum: 1, maximum: 4096 }),
  maxNumBatchedTokens: count('Most tokens of one step, over all sequences; long prompts are computed in pieces of it.', {
    default: 256,
    minimum: 1,
    maximum: 65536,
  }),
  blockSize: count('Tokens of one KV cache block; a multiple of 16.', {
    default: 16,
    minimum: 16,
    maximum: 256,
    multipleOf: 16,
  }),
  kvCacheMemory: bytes('Memory of the KV cache, as 2GiB, 512MiB or bytes; 0 chooses by what is free.'),
  threads: count('Threads that compute on the CPU; 0 takes one per core.', { maximum: 1024 }),
  gpuMemoryUtilization: Type.Number({
    default: 0.9,
    minimum: 0.01,
    maximum: 1,
    placeholder: 'P',
    description: "Share of a GPU's memory that weights, activations and KV cache may take in all.",
  }),
  deterministic: Type.Boolean({
    default: false,
    description: 'On a GPU, results that do not depend on the batch, at the price of speed; on the CPU they never do.',
  }),
};

/** How a model is loaded: the same for every command that runs one. */
const engine = {
  ...memory,
  chatTemplate: Type.Optional(
    Type.String({
      placeholder: 'FILE|NAME',
      description: "Chat template instead of the model's own: a Jinja file, or llama-2, llama-3, chatml or mistral.",
    }),
  ),
  enablePrefixCaching: Type.Boolean({ default: true, description: 'Reuse the KV cache of prompts that begin alike.' }),
};

const logLevel = Type.Enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], {
  default: 'info',
  description: 'Least severe log lines that are written.',
});
const file = Type.Optional(
  Type.String({
    placeholder: 'FILE',
    description: 'JSON file of settings; its keys are the flag names, in kebab or snake case.',
  }),
);

export const ServeConfig = Type.Object({
  model: model(
    'Folder of a Hugging Face model (config.json, safetensors and a tokenizer), or its name at the Hub: org/repo[@revision]; the small demo model unless given.',
  ),
  host: Type.String({
    default: '127.0.0.1',
    placeholder: 'ADDRESS',
    description: 'Address to listen on; one that others can reach needs an API key.',
  }),
  port: count('Port to listen on; 0 takes any free one.', { default: 8000, maximum: 65535 }),
  servedModelName: Type.Array(Type.String(), {
    default: [],
    placeholder: 'NAME',
    description:
      "Name of the model in the API; the folder's name, or the one at the Hub without its revision, unless given; repeat it for more names.",
  }),
  ...engine,
  systemMode: Type.Enum([...SYSTEM_MODES], {
    default: 'first',
    description:
      'Where the system message goes if a request has no system_mode: where the chat template has it; before every later user turn too; or before the latest user turn too.',
  }),
  strictMessages: Type.Boolean({
    default: false,
    description: 'Refuse conversations that the chat template does not take as they are, instead of adapting them.',
  }),
  templateTags: Type.Enum(['refuse', 'allow'], {
    default: 'refuse',
    description: "Messages that contain the chat template's own textual tags, such as [INST] and <<SYS>> of Llama 2.",
  }),
  apiKey: Type.Array(Type.String(), {
    default: [],
    placeholder: 'KEY',
    description:
      'Key that clients must send (Authorization: Bearer KEY); repeat it for more keys; without any, no key is asked for.',
  }),
  rateLimit: count('Most requests a minute of one key (of one address without keys); 0 is no limit.'),
  seed: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      placeholder: 'N',
      description: 'Seed of requests that bring none; without it each request draws a fresh one.',
    }),
  ),
  logLevel,
  config: file,
});
export type ServeConfig = Static<typeof ServeConfig>;

export const ChatConfig = Type.Object({
  model: model(
    'Folder or name (org/repo) of the model to load, the small demo model unless given; with --url, the name by which the server knows it.',
  ),
  url: Type.Optional(
    Type.String({
      placeholder: 'URL',
      description: 'Talk to this OpenAI-compatible server (http://127.0.0.1:8000/v1) instead of loading a model.',
    }),
  ),
  apiKey: Type.Array(Type.String(), { default: [], placeholder: 'KEY', description: 'Key to send to the server of --url.' }),
  system: Type.Optional(Type.String({ placeholder: 'TEXT', description: 'System message of the conversation.' })),
  maxTokens: count('Most tokens of one answer; 0 is as many as fit.'),
  temperature: Type.Optional(
    Type.Number({
      minimum: 0,
      maximum: 2,
      placeholder: 'T',
      description: "0 always takes the likeliest token; the model's own default unless given.",
    }),
  ),
  ...engine,
  logLevel: { ...logLevel, default: 'warn' } as typeof logLevel,
  config: file,
});
export type ChatConfig = Static<typeof ChatConfig>;

export const SynthConfig = Type.Object({
  shape: Type.String({
    placeholder: 'NAME|FILE',
    description:
      'tiny, tinyllama-1.1b, llama-2-7b, llama-2-13b, llama-2-70b, llama-3-8b, mistral-7b, or a config.json of your own.',
  }),
  out: Type.String({ placeholder: 'DIR', description: 'Folder to write; it must be new or empty.' }),
  maxPosition: count("Longest context that the model says it takes (max_position_embeddings); 0 keeps the shape's."),
  seed: count('Seed of the weights.'),
  dtype: Type.Enum(['bfloat16', 'float16', 'float32'], { default: 'bfloat16', description: 'Type of the weights.' }),
  logLevel,
  config: file,
});
export type SynthConfig = Static<typeof SynthConfig>;

const hubName = (description: string) => Type.String({ positional: true, placeholder: 'NAME', description });

export const PullConfig = Type.Object({
  name: hubName(
    'Repository of the Hub, org/repo, with :QUANT or :FILE for one of its GGUF files and @REVISION for another than main.',
  ),
  logLevel,
  config: file,
});
export type PullConfig = Static<typeof PullConfig>;

export const ListConfig = Type.Object({ logLevel, config: file });
export type ListConfig = Static<typeof ListConfig>;

export const RmConfig = Type.Object({
  name: hubName('Model as gattling list names it; with @REVISION that revision only, without one all of them.'),
  yes: Type.Boolean({ default: false, description: 'Delete without asking.' }),
  logLevel,
  config: file,
});
export type RmConfig = Static<typeof RmConfig>;

export const InspectConfig = Type.Object({
  file: Type.String({
    positional: true,
    placeholder: 'FILE',
    description: 'The .gguf file; of a split model, one of its parts.',
  }),
  ...memory,
  logLevel,
  config: file,
});
export type InspectConfig = Static<typeof InspectConfig>;

export const ConvertConfig = Type.Object({
  model: Type.String({
    positional: true,
    placeholder: 'MODEL',
    description: 'Folder of a Hugging Face model, or its name on the Hub.',
  }),
  out: Type.String({ positional: true, placeholder: 'OUT', description: 'The .gguf file to write; it must not be there yet.' }),
  type: Type.Enum(['auto', 'f32', 'f16', 'bf16', 'q8_0', 'q4_0'], {
    default: 'auto',
    description: 'Type of the matrices; auto is as they are stored. Norms and biases are float32.',
  }),
  logLevel,
  config: file,
});
export type ConvertConfig = Static<typeof ConvertConfig>;

export const QuantizeConfig = Type.Object({
  model: Type.String({
    positional: true,
    placeholder: 'MODEL',
    description: 'Folder of a Hugging Face model, or its name on the Hub; not quantised yet.',
  }),
  out: Type.String({
    positional: true,
    placeholder: 'OUT',
    description: 'Folder to write; when an earlier run was cut there, it goes on.',
  }),
  quantization: Type.Enum(['int8', 'int4', 'int4-g128'], {
    default: 'int4',
    description: 'Integers of 8 or 4 bits, a scale for 32 of them or 128; embedding and head stay as they are.',
  }),
  text: Type.Optional(
    Type.String({ placeholder: 'FILE', description: 'Text of which the perplexity is printed, before and after.' }),
  ),
  logLevel,
  config: file,
});
export type QuantizeConfig = Static<typeof QuantizeConfig>;

const share = (description: string, options: { default: number }) =>
  Type.Number({ minimum: 0, maximum: 1, placeholder: 'P', description, ...options });
const path = (description: string) => Type.String({ placeholder: 'FILE', description });

export const GattConfig = Type.Object({
  url: Type.String({ placeholder: 'URL', description: 'OpenAI-compatible server that answers: http://127.0.0.1:8000/v1.' }),
  dialogues: path('JSON Lines of {"messages": [...]}: user turns, with or without answers.'),
  instructions: path('Instructions, one a line; after a TAB its short form, after another its kind.'),
  out: path('JSON Lines to write; when it exists, the run that began it goes on.'),
  model: Type.Optional(Type.String({ placeholder: 'NAME', description: "Model to ask for; the server's first unless given." })),
  apiKey: Type.Array(Type.String(), { default: [], placeholder: 'KEY', description: 'Key to send to the server.' }),
  samples: count('Sampled dialogues for each given one, each with an instruction of its own.', { default: 1, minimum: 1 }),
  ends: Type.String({
    default: '1',
    placeholder: 'all|last|N',
    description:
      'Turns with which the written samples of a sampled dialogue end: every one, the last, or N chosen at random; it is sampled no deeper.',
  }),
  combine: share('Probability of joining two instructions, of different kinds.', { default: 0 }),
  shortShare: share('Share of the samples that carry the short form of the instruction.', { default: 0.5 }),
  place: Type.Enum(['system', 'user'], {
    default: 'system',
    description: 'Where samples carry the instruction: in a system message, or before the text of the first user message.',
  }),
  earlierAnswers: Type.Enum(['sampled', 'given'], {
    default: 'sampled',
    description: "Answers before a sample's last: sampled with the instruction as well, or those of the file.",
  }),
  temperature: Type.Optional(
    Type.Number({ minimum: 0, maximum: 2, placeholder: 'T', description: "Temperature; the server's default unless given." }),
  ),
  topP: Type.Optional(
    Type.Number({ minimum: 0, maximum: 1, placeholder: 'P', description: "Nucleus; the server's default unless given." }),
  ),
  maxTokens: count('Most tokens of one answer; 0 leaves it to the server.'),
  keepCut: Type.Boolean({ default: false, description: 'Write samples too whose answer was cut by a limit of tokens.' }),
  skipRefused: Type.Boolean({
    default: false,
    description: 'Leave out dialogues that the server refuses (one that is too long, say) instead of stopping.',
  }),
  concurrency: count('Most requests at once; the output does not depend on it.', { default: 16, minimum: 1, maximum: 1024 }),
  seed: Type.Integer({
    default: 0,
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    placeholder: 'N',
    description: 'Seed of every choice, and of the seed of every request.',
  }),
  logLevel,
  config: file,
});
export type GattConfig = Static<typeof GattConfig>;

/** The user's mistake in flags, environment or settings file, in one sentence. */
export class ConfigError extends Error {
  override name = 'ConfigError';
}
