#include "model/fake.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include "backend/error.h"

namespace gattling {

int32_t fake_next(int32_t token, int position, int vocab_size) {
  return static_cast<int32_t>(philox(1, static_cast<uint32_t>(position), static_cast<uint32_t>(token)) %
                              static_cast<uint32_t>(vocab_size));
}

namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kMostTokens = int64_t{1} << 28;

// Blocks for all slots at full length.
int64_t full_blocks(const FakeOptions& o) {
  return (int64_t{o.max_model_len} + o.block_size - 1) / o.block_size * o.max_num_seqs;
}

class FakeModel final : public Model {
 public:
  explicit FakeModel(const FakeOptions& o) : options_(o), pool_(o.max_num_seqs), masks_(o.max_num_seqs) {
    info_.architecture = "fake";
    info_.backend = {"fake", "none", 1, o.depth};
    info_.vocab_size = o.vocab_size;
    info_.max_position = info_.max_model_len = o.max_model_len;
    info_.max_num_seqs = o.max_num_seqs;
    info_.max_num_batched_tokens = o.max_num_batched_tokens;
    info_.block_size = o.block_size;
    info_.n_blocks = o.n_blocks ? o.n_blocks : static_cast<int>(full_blocks(o));
  }

  const ModelInfo& info() const override { return info_; }

  void forward(const Step& step) override {
    step_ = &step;
    if (options_.fail_token >= 0 && std::ranges::find(step.tokens, options_.fail_token) != step.tokens.end())
      fail("the fake model was told to fail");
    ends_ = std::max(ends_, Clock::now()) + std::chrono::microseconds(options_.step_microseconds);
    if (options_.depth == 0 && options_.step_microseconds > 0) std::this_thread::sleep_until(ends_);
  }

  void set_mask(int slot, std::span<const uint32_t> bits) override { masks_[slot].assign(bits.begin(), bits.end()); }

  // Tokens are known at once; only their time is the device's.
  Ticket sample() override {
    const Ticket ticket = ++n_steps_;
    results_[ticket % 2].clear();
    done_[ticket % 2] = ends_;
    size_t row = 0, target = 0;
    for (size_t i = 0; i < step_->slices.size(); ++i) {
      const Slice& slice = step_->slices[i];
      for (int k = 0; k < slice.n_score; ++k)
        add(results_[ticket % 2].scored, results_[ticket % 2], i, step_->targets[target++], RowStatus::Ok,
            slice.score_top);
      row += slice.count;
      if (slice.sample) draw(results_[ticket % 2], i, slice, step_->tokens[row - 1]);
    }
    return ticket;
  }

  const StepResult& collect(Ticket ticket) override {
    if (options_.depth > 0) std::this_thread::sleep_until(done_[ticket % 2]);
    return results_[ticket % 2];
  }

 private:
  void draw(StepResult& result, size_t index, const Slice& slice, int32_t last) {
    std::vector<uint32_t>& mask = masks_[slice.slot];
    if (slice.constrained && mask.empty()) return add(result.sampled, result, index, 0, RowStatus::NotSampled, -1);
    if (last == kFromPool) last = pool_[slice.slot];
    const int position = slice.start + slice.count;
    auto status = last == options_.not_finite_token ? RowStatus::NotFinite : RowStatus::Ok;
    int32_t next = fake_next(last, position - 1, options_.vocab_size);
    if (slice.constrained) {
      const auto allowed = [&](int32_t token) { return mask[token / 32] >> (token % 32) & 1; };
      for (int i = 0; i < options_.vocab_size && !allowed(next); ++i) next = (next + 1) % options_.vocab_size;
      if (!allowed(next)) status = RowStatus::NoToken;
      mask.clear();
    }
    pool_[slice.slot] = next;
    add(result.sampled, result, index, next, status, slice.top);
  }

  void add(std::vector<StepResult::Entry>& to, StepResult& result, size_t index, int32_t token, RowStatus status,
           int top) {
    const int n_top = std::clamp(top, 0, options_.vocab_size);
    to.push_back({static_cast<int>(index), token, status, -1.0f, static_cast<int>(result.top_ids.size()), n_top});
    for (int k = 0; k < n_top; ++k) {
      result.top_ids.push_back((token + k) % options_.vocab_size);
      result.top_logprobs.push_back(-1.0f - static_cast<float>(k));
    }
  }

  FakeOptions options_;
  ModelInfo info_;
  const Step* step_ = nullptr;
  std::vector<int32_t> pool_;
  std::vector<std::vector<uint32_t>> masks_;
  StepResult results_[2];
  Clock::time_point ends_{}, done_[2]{};
  Ticket n_steps_ = 0;
};

}  // namespace

std::unique_ptr<Model> make_fake_model(const FakeOptions& options) {
  const FakeOptions& o = options;
  check(o.vocab_size > 0 && o.max_model_len > 0 && o.max_num_seqs > 0 && o.max_num_batched_tokens > 0 &&
            o.block_size > 0 && o.step_microseconds >= 0,
        "the fake model's sizes must be positive");
  check(full_blocks(o) <= kMostTokens / o.block_size, "the fake model's ", o.max_num_seqs, " sequences of ",
        o.max_model_len, " tokens are more than ", kMostTokens, " tokens together");
  return std::make_unique<FakeModel>(options);
}

}  // namespace gattling
