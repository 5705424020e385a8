// What config.json of a Hugging Face model says, with the defaults that transformers would apply.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/tensor.h"
#include "model/fields.h"

namespace gattling {

enum class RopeType : uint8_t { Default, Linear, Llama3 };

struct RopeConfig {
  RopeType type = RopeType::Default;
  double theta = 10000;
  double factor = 1;                 // Linear, Llama3: how far the context was stretched
  double low_freq_factor = 1;        // Llama3
  double high_freq_factor = 4;       // Llama3
  double original_max_position = 0;  // Llama3: tokens
};

struct ModelConfig {
  std::string architecture;  // LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM
  int hidden_size = 0;
  int n_layers = 0;
  int n_heads = 0;
  int n_kv_heads = 0;
  int head_dim = 0;
  int ffn_size = 0;
  int vocab_size = 0;
  int max_position = 0;    // tokens the checkpoint was made for
  int sliding_window = 0;  // a query at p sees keys in (p - window, p]; 0: all
  float rms_eps = 0;
  bool tie_embeddings = false;
  bool qkv_bias = false;
  bool attn_out_bias = false;
  std::optional<DType> dtype;  // of the storage; the tensors have the last word
  RopeConfig rope;
  std::vector<float> rope_factors;  // [head_dim / 2] what else divides each frequency, as GGUF has it; empty: nothing
  std::vector<int32_t> bos_ids;
  std::vector<int32_t> eos_ids;
};

// `source` names the text in errors.
ModelConfig parse_config(std::string_view text, const std::string& source = "config.json", const KeyNames& names = {});
ModelConfig load_config(const std::string& folder);

}  // namespace gattling
