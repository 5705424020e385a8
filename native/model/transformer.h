// The Llama family (Touvron et al. 2023, "LLaMA", section 2.2; GQA: Ainslie et al. 2023) in terms of the backend's ops.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "model/checkpoint.h"
#include "model/config.h"
#include "model/model.h"
#include "model/weights.h"

namespace gattling {

// Bytes of weights packed so far, and of all.
using LoadProgress = std::function<void(uint64_t done, uint64_t total)>;

class Transformer final : public Model {
 public:
  // Packs the weights; allocate() must follow.
  Transformer(const ModelConfig& config, std::unique_ptr<Backend> backend, Checkpoint& checkpoint,
              const LoadProgress& progress);

  Backend& backend() { return *backend_; }
  uint64_t weight_bytes() const { return weight_bytes_; }
  // Bytes that steps work in, besides weights and cache.
  static uint64_t step_bytes(const ModelConfig& config, const StateShape& state, const Backend& backend);
  // Activations, slots and the KV cache; `info` says how many.
  void allocate(const StateShape& state, ModelInfo info);

  const ModelInfo& info() const override { return info_; }
  void forward(const Step& step) override;
  void set_mask(int slot, std::span<const uint32_t> bits) override { backend_->set_mask(slot, bits); }
  Ticket sample() override;
  const StepResult& collect(Ticket ticket) override { return backend_->collect(ticket); }

 private:
  // What a step goes through: a tensor of this class.
  struct Activation {
    Tensor Transformer::*tensor;
    Role role;
    int64_t rows, cols;
  };
  static std::vector<Activation> activations(const ModelConfig& config, const StateShape& state, int rows);

  using WeightPtr = std::unique_ptr<Weight>;
  struct Layer {
    WeightPtr input_norm, qkv, attn_out, ffn_norm, gate_up, down;
  };

  void run_layers(int rows);

  ModelConfig config_;
  std::unique_ptr<Backend> backend_;
  ModelInfo info_;
  uint64_t weight_bytes_ = 0;

  WeightPtr embedding_;  // null when tied: the head is the table
  std::vector<Layer> layers_;
  WeightPtr final_norm_, head_;

  Tensor residual_;    // [rows, H]
  Tensor normed_;      // [rows, H]
  Tensor qkv_;         // [rows, (Hq + 2 Hkv) D]
  Tensor attended_;    // [rows, Hq D]
  Tensor delta_;       // [rows, H] what a half layer adds to the residual
  Tensor gate_up_;     // [rows, 2 F]
  Tensor activated_;   // [rows, F]
  Tensor outputs_;     // [tile, H] rows to score or sample
  Tensor logits_;      // [tile, V]
  int n_outputs_ = 0;  // of the step between forward() and sample()
};

}  // namespace gattling
