// Scores and samples rows of logits. A slot's state is what its sampling needs of the past.
#pragma once

#include <span>
#include <unordered_map>
#include <vector>

#include "backend/step.h"
#include "cpu/kernels.h"

namespace gattling::cpu {

// A sequence's sampling parameters, and its token counts when a penalty asks for them.
class SlotSampling {
 public:
  void init(const SlotInit& init);
  // A token was sampled.
  void count(int32_t token) { see(token, true); }

  const Sampling& sampling() const { return sampling_; }
  int n_prompt() const { return n_prompt_; }
  // Penalties, bias and the ban of stop tokens; `position` is the index of the token to be drawn.
  void adjust(std::span<float> logits, int position) const;
  // Whether adjust() would change anything.
  bool adjusts(int position) const;

 private:
  struct Seen {
    int32_t token;
    int n_generated;
  };
  void see(int32_t token, bool generated);
  bool bans_stops(int position) const {
    return position - n_prompt_ < sampling_.min_tokens && !sampling_.stop_ids.empty();
  }

  Sampling sampling_;
  int n_prompt_ = 0;
  bool penalises_ = false;
  std::vector<Seen> seen_;
  std::unordered_map<int32_t, size_t> index_;  // of a token in seen_
};

// What is asked of one row of logits.
struct RowTask {
  std::span<const float> logits;
  int slice = 0;
  bool score = false;
  int32_t target = 0;
  int score_top = 0;
  bool sample = false;
  int top = -1;
  int position = 0;  // index of the token to be drawn
  const SlotSampling* slot = nullptr;
  std::span<const uint32_t> mask;  // allowed tokens; empty: all
  bool mask_missing = false;       // constrained, and no mask has come
};

// Its answer; top_ids and top_logprobs serve both entries, best first.
struct RowAnswer {
  StepResult::Entry scored;
  StepResult::Entry sampled;
  std::vector<int32_t> top_ids;
  std::vector<float> top_logprobs;
};

// One thread's sampler: scratch memory of a few vocabularies.
class RowSampler {
 public:
  RowSampler(const Kernels& kernels, int vocab_size);
  void answer(const RowTask& task, RowAnswer& answer);

 private:
  void report_top(std::span<const float> logits, int n_top, double log_sum, RowAnswer& answer);
  RowStatus draw(const RowTask& task, float max, int32_t& token);
  int32_t draw_tempered(const RowTask& task, const Sampling& sampling);
  uint64_t cut_of(std::span<const float> z, const Sampling& sampling);
  uint64_t cut_top_p(std::span<const float> z, float top_p, uint64_t least);
  int32_t first_of(std::span<const float> z, float max);
  void gather_best(std::span<const float> z, size_t n);
  void gather(std::span<const float> z, float least);

  const Kernels* kernels_;
  std::vector<float> z_;  // adjusted logits, then tempered ones
  std::vector<float> block_max_;
  std::vector<float> block_rank_;
  std::vector<int32_t> ids_;
  std::vector<uint64_t> keys_;  // candidates (order_key)
};

}  // namespace gattling::cpu
