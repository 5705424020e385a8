// From a model folder to a model that is ready to step.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "model/model.h"
#include "model/transformer.h"

namespace gattling {

struct LoadOptions {
  std::string folder;                              // of a Hugging Face model, or the path of a .gguf file
  std::string device = "auto";                     // auto, cpu, cuda
  std::optional<DType> dtype;                      // none: the checkpoint's class
  std::optional<DType> kv_dtype;                   // none: that of dtype
  Quantization quantization = Quantization::None;  // of weights that are not quantised yet
  int max_model_len = 0;                           // 0: what the model was made for, or as much as fits
  int max_num_seqs = 256;
  int max_num_batched_tokens = 256;
  int block_size = 16;
  uint64_t kv_cache_memory = 0;  // bytes; 0: choose
  int threads = 0;               // 0: physical cores
  std::string unit;              // forces the CPU's arithmetic unit; ""
  bool deterministic = false;    // on a GPU: results do not depend on the batch
  double gpu_memory_utilization = 0.9;
};

// What load_model would make, without reading weights: weight_bytes is an estimate within a few per cent. Throws as it
// does, but for what only the weights tell.
ModelInfo plan_model(const LoadOptions& options);

// Throws Error with one sentence on anything that cannot be loaded, or cannot fit.
std::unique_ptr<Model> load_model(const LoadOptions& options, const LoadProgress& progress);

}  // namespace gattling
