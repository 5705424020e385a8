// One step: what a forward pass over a ragged batch computes, and what comes back. Plain data, shared by the scheduler
// (which writes a Step), the model and every backend.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/sampling.h"

namespace gattling {

// In Step::tokens: the id that this slot sampled last, which may not have reached the host yet.
constexpr int32_t kFromPool = -1;

// A sequence moves into a slot, its row of the device's state: sampling parameters, token counts (for the penalties)
// and an empty block table. `tokens` are all ids known so far, prompt first.
struct SlotInit {
  int slot;
  const Sampling* sampling;
  std::span<const int32_t> tokens;
  int n_prompt;
};

// block_table[slot][index] = block
struct BlockAppend {
  int slot;
  int index;
  int block;
};

enum class Rows : uint8_t { None, Last, All, Sum };

// Consecutive tokens of one sequence: positions [start, start + count) are computed in this step.
struct Slice {
  int slot;
  int start;
  int count;
  bool sample;       // draw a token from the last row
  bool constrained;  // sample only under a mask that has arrived
  int top;           // -1: none; k: log-probability of the sampled token and of the k best
  int n_score;       // the first n_score rows report the log-probability of Step::targets
  int score_top;     // and of this many best
  Rows hidden;       // which rows of the final hidden state (after the norm) come back
};

struct Step {
  std::vector<SlotInit> inits;
  std::vector<BlockAppend> blocks;
  std::vector<Slice> slices;
  std::vector<int32_t> tokens;   // [n_rows] ids in slice order; kFromPool only as the last of a slice
  std::vector<int32_t> targets;  // [sum of n_score] the token after each scored row

  int n_rows() const { return static_cast<int>(tokens.size()); }
  bool constrained() const {
    for (const Slice& slice : slices)
      if (slice.sample && slice.constrained) return true;
    return false;
  }
  void clear() {
    inits.clear();
    blocks.clear();
    slices.clear();
    tokens.clear();
    targets.clear();
  }
};

enum class RowStatus : uint8_t {
  Ok,
  NotFinite,   // a NaN or an infinity among the logits
  NotSampled,  // constrained, and the mask had not arrived
  NoToken,     // the mask forbids every token
};

struct StepResult {
  // A sampled token or a scored row; its best tokens are top_ids/top_logprobs [first_top, first_top + n_top), best
  // first.
  struct Entry {
    int slice;
    int32_t token;  // sampled id, or the target
    RowStatus status;
    float logprob;  // natural log of softmax of the raw logits: before temperature, penalties, bias and mask
    int first_top;
    int n_top;
  };
  std::vector<Entry> scored;   // in row order
  std::vector<Entry> sampled;  // one per slice with `sample`, in slice order
  std::vector<int32_t> top_ids;
  std::vector<float> top_logprobs;
  std::vector<float> hidden;  // [rows wanted, hidden size], in slice order

  void clear() {
    scored.clear();
    sampled.clear();
    top_ids.clear();
    top_logprobs.clear();
    hidden.clear();
  }
};

// Names a step that was enqueued; collected once, in order.
using Ticket = uint64_t;

}  // namespace gattling
