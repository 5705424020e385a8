// Which tensors a model has: names and shapes as Hugging Face stores them, grouped as Backend::pack takes them. The
// loader reads by this list and synth writes by it.
#pragma once

#include <string>
#include <vector>

#include "backend/backend.h"
#include "model/config.h"

namespace gattling {

struct TensorSpec {
  std::string name;
  std::vector<int64_t> shape;
};

// One weight; its parts are in the order of Use.
struct WeightSpec {
  Use use;
  std::vector<TensorSpec> parts;
};

struct LayerSpec {
  WeightSpec input_norm;
  WeightSpec qkv;
  WeightSpec attn_out;
  WeightSpec ffn_norm;
  WeightSpec gate_up;
  WeightSpec down;
};

WeightSpec embedding_spec(const ModelConfig& config);
LayerSpec layer_spec(const ModelConfig& config, int layer);
WeightSpec final_norm_spec(const ModelConfig& config);
// With tied embeddings the head is the embedding table.
WeightSpec head_spec(const ModelConfig& config);

// Every weight of the model, in the order in which it is loaded.
std::vector<WeightSpec> weight_specs(const ModelConfig& config);
// Every tensor of the model once, in that order.
std::vector<TensorSpec> tensor_specs(const ModelConfig& config);

}  // namespace gattling
