// One backend's sampler by itself: slots, and logits given straight to sample().
#pragma once

#include <limits>
#include <memory>
#include <vector>

#include "ops_cases.h"

namespace ops {

using namespace gattling;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// One slot, and logits given straight to sample().
class Sampler {
 public:
  Sampler(const BackendCase& backend, int vocab_size, int max_rows = 64, int threads = 2)
      : case_(backend), backend_(backend.make(DType::F32, threads)), vocab_size_(vocab_size) {
    StateShape shape{};
    shape.n_slots = max_rows;
    shape.max_rows = max_rows;
    shape.max_blocks = 1 << 13;  // room for any position, of which none is computed
    shape.n_blocks = 1;
    shape.block_size = 16;
    shape.n_layers = shape.n_heads = shape.n_kv_heads = 1;
    shape.head_dim = 8;
    shape.vocab_size = vocab_size;
    shape.hidden_size = 2;
    shape.kv_dtype = DType::F32;
    shape.inv_freq = {1, 1, 1, 1};
    logits_ = backend_->allocate(Role::Logits, max_rows, vocab_size);
    backend_->allocate_state(shape);
  }

  void init(int slot, const Sampling& sampling, const std::vector<int32_t>& tokens = {}, int n_prompt = 0) {
    step_.inits.push_back({slot, &sampling, tokens, n_prompt});
    begin();
    backend_->collect(backend_->end());
    step_.clear();
  }

  Slice& add(int slot, int start, int count = 1) {
    step_.slices.push_back({slot, start, count, true, false, -1, 0, 0, Rows::None});
    step_.tokens.resize(step_.tokens.size() + static_cast<size_t>(count), 0);
    return step_.slices.back();
  }
  void target(int32_t token) { step_.targets.push_back(token); }
  void begin() { backend_->begin(step_); }
  void mask(int slot, const std::vector<uint32_t>& bits) { backend_->set_mask(slot, bits); }

  // Rows of logits, one an output, after begin().
  const StepResult& finish(const std::vector<float>& logits) {
    case_.write(logits_, logits);
    backend_->sample({logits_, 0, static_cast<int>(logits.size()) / vocab_size_});
    step_.clear();
    return backend_->collect(backend_->end());
  }

  // Draws at a position from a slot that has been set up.
  StepResult::Entry draw(const std::vector<float>& logits, int position, int slot = 0) {
    add(slot, position - 1);
    begin();
    return finish(logits).sampled.at(0);
  }

  Backend& backend() { return *backend_; }
  Step& step() { return step_; }

 private:
  const BackendCase& case_;
  std::unique_ptr<Backend> backend_;
  int vocab_size_;
  Tensor logits_;
  Step step_;
};

template <typename Fn>
void each_backend(const Fn& fn) {
  for (const BackendCase& backend : backend_cases()) fn(backend);
}

inline std::vector<float> random_logits(uint64_t seed, int n, float scale) {
  Random random(seed);
  std::vector<float> logits = random.floats(static_cast<size_t>(n));
  for (float& logit : logits) logit *= scale;
  return logits;
}

}  // namespace ops
