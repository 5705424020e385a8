// What the engine drives: something that turns steps into tokens. The transformer is one; the fake of benches is
// another.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "backend/backend.h"
#include "backend/step.h"

namespace gattling {

struct ModelInfo {
  std::string architecture;
  BackendInfo backend;
  DType dtype = DType::F32;
  DType kv_dtype = DType::F32;
  Quantization quantization = Quantization::None;  // that weights went through at load
  int vocab_size = 0;
  int hidden_size = 0;
  int n_layers = 0;
  int n_heads = 0;
  int n_kv_heads = 0;
  int head_dim = 0;
  int max_position = 0;   // what the checkpoint was made for
  int max_model_len = 0;  // prompt + completion that a request may use
  int max_num_seqs = 0;   // slots
  int max_num_batched_tokens = 0;
  int block_size = 0;
  int n_blocks = 0;
  uint64_t weight_bytes = 0;
  uint64_t kv_bytes = 0;
};

class Model {
 public:
  virtual ~Model() = default;
  virtual const ModelInfo& info() const = 0;

  // forward(step), set_mask() for rows that wait for one, sample(), and later collect(), in that order; with depth 1
  // the next forward may come before the collect. `step` outlives its collect.
  virtual void forward(const Step& step) = 0;
  virtual void set_mask(int slot, std::span<const uint32_t> bits) = 0;
  virtual Ticket sample() = 0;
  virtual const StepResult& collect(Ticket ticket) = 0;
};

}  // namespace gattling
