// Tiny models with random weights, written in Hugging Face format.
#pragma once

#include "files.h"
#include "model/config.h"

namespace test {

struct Traits {
  const char* architecture = "LlamaForCausalLM";
  bool tied = false;
  bool bias = false;  // Llama's attention_bias: q, k, v and o
  int window = 0;
  gattling::RopeConfig rope = {};
  double eps = 1e-5;
  gattling::DType storage = gattling::DType::F32;
  bool mixed = false;  // every other tensor is float32
  // Spelled as files of 2023 are: rope_theta, rope_scaling and torch_dtype in place of rope_parameters and dtype, and
  // without what follows from the rest.
  bool old_keys = false;
  int n_shards = 1;
};

struct TinyModel {
  const char* name;
  int hidden, ffn, n_layers, n_heads, n_kv_heads, head_dim, vocab;
  Traits traits = {};
};

constexpr int kTinyMaxPosition = 128;

// What the loader has to read out of the model's config.json.
gattling::ModelConfig config_of(const TinyModel& model);

// Writes config.json and the weights, which are large enough for every part to matter: activations, scores and logits
// are of the order of 1 and above.
void write(const TinyModel& model, const TempFolder& folder);

}  // namespace test
