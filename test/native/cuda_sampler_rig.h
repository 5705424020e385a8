// The device's sampler by itself, and the CPU's to compare it with.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "cpu/sampler.h"
#include "cuda/sampler.h"
#include "test.h"

namespace sampler_rig {

using namespace gattling;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

inline uint64_t mix(uint64_t& state) {  // splitmix64
  uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

// Bell-shaped, as a model's logits are.
inline std::vector<float> random_logits(uint64_t seed, int n, float scale) {
  std::vector<float> logits(static_cast<size_t>(n));
  for (float& logit : logits) {
    double sum = 0;
    for (int i = 0; i < 4; ++i) sum += static_cast<double>(mix(seed) >> 11) * 0x1p-53 - 0.5;
    logit = static_cast<float>(sum) * scale;
  }
  return logits;
}

inline StateShape shape_of(int vocab_size, int n_slots, int max_rows) {
  StateShape shape{};
  shape.n_slots = n_slots;
  shape.max_rows = max_rows;
  shape.vocab_size = vocab_size;
  return shape;
}

// Logits on the device, rows `stride` apart, in tiles of `tile` rows.
class Rig {
 public:
  explicit Rig(int vocab_size, int n_slots = 8, int tile = 4, int padding = -1)
      : n_(vocab_size),
        tile_(tile),
        stride_(padding < 0 ? (vocab_size + 63) / 64 * 64 : vocab_size + padding),
        sampler_(shape_of(vocab_size, n_slots, 64), tile, stream_),
        logits_(64 * static_cast<size_t>(stride_) * sizeof(float)) {}

  void init(int slot, const Sampling& sampling, const std::vector<int32_t>& tokens = {}, int n_prompt = 0) {
    step_.inits.push_back({slot, &sampling, tokens, n_prompt});
    begin();
    end();
  }
  Slice& add(int slot, int start, int count = 1) {
    step_.slices.push_back({slot, start, count, true, false, -1, 0, 0, Rows::None});
    step_.tokens.resize(step_.tokens.size() + static_cast<size_t>(count), 0);
    return step_.slices.back();
  }
  void begin() {
    sampler_.begin(step_);
    step_.clear();
  }
  void mask(int slot, const std::vector<uint32_t>& bits) { sampler_.set_mask(slot, bits); }
  void sample(const std::vector<float>& logits) {
    const int rows = static_cast<int>(logits.size()) / n_;
    for (int row = 0; row < rows; ++row)
      stream_.copy_to_device(row_of(row), &logits[static_cast<size_t>(row * n_)], static_cast<size_t>(n_) * 4);
    for (int first = 0; first < rows; first += tile_)
      sampler_.sample(row_of(first), stride_, first, std::min(tile_, rows - first));
  }
  Ticket end() { return sampler_.end(); }
  StepResult read(Ticket ticket) {
    stream_.synchronize();
    StepResult result;
    sampler_.read(ticket, result);
    return result;
  }
  StepResult finish(const std::vector<float>& logits) {
    sample(logits);
    return read(end());
  }
  StepResult::Entry draw(const std::vector<float>& logits, int position, int slot = 0) {
    add(slot, position - 1);
    begin();
    return finish(logits).sampled.at(0);
  }
  int32_t last_token(int slot) {
    int32_t token = 0;
    stream_.copy_to_host(&token, sampler_.last_tokens() + slot, sizeof token);
    stream_.synchronize();
    return token;
  }
  std::vector<int32_t> output_rows() {
    std::vector<int32_t> rows(static_cast<size_t>(sampler_.n_outputs()));
    stream_.copy_to_host(rows.data(), sampler_.output_rows(), rows.size() * sizeof(int32_t));
    stream_.synchronize();
    return rows;
  }

  Step& step() { return step_; }
  cuda::Sampler& sampler() { return sampler_; }

 private:
  float* row_of(int row) { return logits_.as<float>() + row * stride_; }

  int n_, tile_;
  int64_t stride_;
  cuda::Stream stream_;
  cuda::Sampler sampler_;
  cuda::Buffer logits_;
  Step step_;
};

// What the CPU draws.
inline StepResult::Entry drawn_by_cpu(const std::vector<float>& logits, const Sampling& sampling, int position,
                                      const std::vector<int32_t>& tokens = {}, int n_prompt = 0,
                                      const std::vector<uint32_t>& mask = {}) {
  cpu::SlotSampling slot;
  slot.init({0, &sampling, tokens, n_prompt});
  cpu::RowSampler sampler(cpu::kernels_plain(), static_cast<int>(logits.size()));
  cpu::RowTask task;
  task.logits = logits;
  task.sample = true;
  task.position = position;
  task.slot = &slot;
  task.mask = mask;
  cpu::RowAnswer answer;
  sampler.answer(task, answer);
  return answer.sampled;
}

inline void expect_same(Rig& rig, const std::vector<float>& logits, const Sampling& sampling, int position,
                        const std::vector<int32_t>& tokens = {}, int n_prompt = 0,
                        const std::vector<uint32_t>& mask = {}) {
  if (!sampling.bias.empty() || !tokens.empty() || position == 1) rig.init(0, sampling, tokens, n_prompt);
  rig.add(0, position - 1).constrained = !mask.empty();
  rig.begin();
  if (!mask.empty()) rig.mask(0, mask);
  const StepResult::Entry have = rig.finish(logits).sampled.at(0);
  const StepResult::Entry want = drawn_by_cpu(logits, sampling, position, tokens, n_prompt, mask);
  CHECK(have.status == want.status && have.token == want.token);
  if (have.status == RowStatus::Ok) CHECK(rig.last_token(0) == have.token);
}

inline std::vector<uint32_t> random_mask(uint64_t seed, int n) {
  std::vector<uint32_t> bits(static_cast<size_t>((n + 31) / 32));
  for (uint32_t& word : bits) word = static_cast<uint32_t>(mix(seed));
  return bits;
}

}  // namespace sampler_rig
