#include "model/weights.h"

#include <utility>

#include "backend/error.h"

namespace gattling {

WeightSpec embedding_spec(const ModelConfig& config) {
  return {Use::Embedding, {{"model.embed_tokens.weight", {config.vocab_size, config.hidden_size}}}};
}

LayerSpec layer_spec(const ModelConfig& config, int layer) {
  const int64_t hidden = config.hidden_size, ffn = config.ffn_size;
  const int64_t q = int64_t{config.n_heads} * config.head_dim, kv = int64_t{config.n_kv_heads} * config.head_dim;
  const std::string prefix = concat("model.layers.", layer, ".");
  const std::string attn = prefix + "self_attn.", mlp = prefix + "mlp.";

  LayerSpec spec;
  spec.input_norm = {Use::Norm, {{prefix + "input_layernorm.weight", {hidden}}}};
  spec.qkv = {Use::Qkv,
              {{attn + "q_proj.weight", {q, hidden}},
               {attn + "k_proj.weight", {kv, hidden}},
               {attn + "v_proj.weight", {kv, hidden}}}};
  if (config.qkv_bias) {
    spec.qkv.parts.push_back({attn + "q_proj.bias", {q}});
    spec.qkv.parts.push_back({attn + "k_proj.bias", {kv}});
    spec.qkv.parts.push_back({attn + "v_proj.bias", {kv}});
  }
  spec.attn_out = {Use::AttnOut, {{attn + "o_proj.weight", {hidden, q}}}};
  if (config.attn_out_bias) spec.attn_out.parts.push_back({attn + "o_proj.bias", {hidden}});
  spec.ffn_norm = {Use::Norm, {{prefix + "post_attention_layernorm.weight", {hidden}}}};
  spec.gate_up = {Use::GateUp, {{mlp + "gate_proj.weight", {ffn, hidden}}, {mlp + "up_proj.weight", {ffn, hidden}}}};
  spec.down = {Use::Down, {{mlp + "down_proj.weight", {hidden, ffn}}}};
  return spec;
}

WeightSpec final_norm_spec(const ModelConfig& config) {
  return {Use::Norm, {{"model.norm.weight", {config.hidden_size}}}};
}

WeightSpec head_spec(const ModelConfig& config) {
  if (config.tie_embeddings) return {Use::Head, embedding_spec(config).parts};
  return {Use::Head, {{"lm_head.weight", {config.vocab_size, config.hidden_size}}}};
}

std::vector<WeightSpec> weight_specs(const ModelConfig& config) {
  std::vector<WeightSpec> all;
  all.push_back(embedding_spec(config));
  for (int layer = 0; layer < config.n_layers; ++layer) {
    LayerSpec spec = layer_spec(config, layer);
    for (WeightSpec* weight : {&spec.input_norm, &spec.qkv, &spec.attn_out, &spec.ffn_norm, &spec.gate_up, &spec.down})
      all.push_back(std::move(*weight));
  }
  all.push_back(final_norm_spec(config));
  if (!config.tie_embeddings) all.push_back(head_spec(config));
  return all;
}

std::vector<TensorSpec> tensor_specs(const ModelConfig& config) {
  std::vector<TensorSpec> all;
  for (const WeightSpec& weight : weight_specs(config)) all.insert(all.end(), weight.parts.begin(), weight.parts.end());
  return all;
}

}  // namespace gattling
