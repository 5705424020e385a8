// Published shapes of well-known checkpoints (their config.json on the Hub), for synth and capacity planning.
import { ModelError } from './read.ts';

/** The part of config.json that decides what is stored and computed. */
export interface Shape {
  architectures: string[];
  model_type: string;
  hidden_size: number;
  intermediate_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  num_key_value_heads: number;
  vocab_size: number;
  max_position_embeddings: number;
  rms_norm_eps: number;
  rope_theta: number;
  bos_token_id: number;
  eos_token_id: number;
  hidden_act: 'silu';
  tie_word_embeddings: boolean;
  head_dim?: number;
  sliding_window?: number;
}

const llama: Omit<
  Shape,
  'hidden_size' | 'intermediate_size' | 'num_hidden_layers' | 'num_attention_heads' | 'num_key_value_heads'
> = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: 32000,
  max_position_embeddings: 4096,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  bos_token_id: 1,
  eos_token_id: 2,
  hidden_act: 'silu',
  tie_word_embeddings: false,
};

const size = (hidden: number, intermediate: number, layers: number, heads: number, kvHeads: number) => ({
  hidden_size: hidden,
  intermediate_size: intermediate,
  num_hidden_layers: layers,
  num_attention_heads: heads,
  num_key_value_heads: kvHeads,
});

export const SHAPES = {
  // Not a published one: small enough for tests, with grouped heads.
  tiny: { ...llama, ...size(64, 160, 2, 4, 2), vocab_size: 512, max_position_embeddings: 512 },
  'tinyllama-1.1b': { ...llama, ...size(2048, 5632, 22, 32, 4), max_position_embeddings: 2048 },
  'llama-2-7b': { ...llama, ...size(4096, 11008, 32, 32, 32) },
  'llama-2-13b': { ...llama, ...size(5120, 13824, 40, 40, 40) },
  'llama-2-70b': { ...llama, ...size(8192, 28672, 80, 64, 8) },
  'llama-3-8b': {
    ...llama,
    ...size(4096, 14336, 32, 32, 8),
    vocab_size: 128256,
    max_position_embeddings: 8192,
    rope_theta: 500000,
    bos_token_id: 128000,
    eos_token_id: 128001,
  },
  'mistral-7b': {
    ...llama,
    ...size(4096, 14336, 32, 32, 8),
    architectures: ['MistralForCausalLM'],
    model_type: 'mistral',
    max_position_embeddings: 32768,
    sliding_window: 4096,
  },
} satisfies Record<string, Shape>;

const SIZES = [
  'hidden_size',
  'intermediate_size',
  'num_hidden_layers',
  'num_attention_heads',
  'vocab_size',
  'max_position_embeddings',
] as const;

/** The shape in someone's config.json; what transformers fills in for LlamaConfig is filled in here too. */
export function shapeOf(config: Record<string, unknown>, file: string): Shape {
  for (const key of SIZES) {
    const value = config[key];
    if (!Number.isSafeInteger(value) || (value as number) < 1) {
      throw new ModelError(
        `${file} must have a whole number of at least 1 as "${key}", not ${JSON.stringify(value) ?? 'nothing'}.`,
      );
    }
  }
  const { bos_token_id: bos, eos_token_id: eos, num_key_value_heads: kvHeads, num_attention_heads: heads } = config;
  return {
    tie_word_embeddings: false,
    ...config,
    num_key_value_heads: kvHeads ?? heads,
    bos_token_id: bos ?? 1,
    eos_token_id: (Array.isArray(eos) ? eos[0] : eos) ?? 2,
  } as Shape;
}

/** Parameters of a Llama-shaped model; Qwen2's three biases per layer are left out (under 0.02 % of its weights). */
export function parameterCount(shape: Shape): number {
  const { hidden_size: hidden, num_attention_heads: heads, num_key_value_heads: kvHeads, vocab_size: vocab } = shape;
  const head = shape.head_dim ?? hidden / heads;
  const attention = 2 * hidden * heads * head + 2 * hidden * kvHeads * head;
  const layer = attention + 3 * hidden * shape.intermediate_size + 2 * hidden;
  return shape.num_hidden_layers * layer + hidden + vocab * hidden * (shape.tie_word_embeddings ? 1 : 2);
}
