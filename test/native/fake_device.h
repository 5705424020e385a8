// A device of the slowest and most obvious kind: its KV cache remembers the whole prefix behind every cell, so that a
// token comes out right only if the scheduler gave its row the right blocks, filled by the right tokens.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "backend/error.h"
#include "backend/step.h"

namespace test {

inline uint64_t chain(uint64_t prefix, int32_t token) {
  uint64_t h = (prefix ^ static_cast<uint32_t>(token)) * 0x9e3779b97f4a7c15ull;
  h ^= h >> 29;
  h *= 0xbf58476d1ce4e5b9ull;
  return h ^ (h >> 32);
}

inline int32_t next_token(uint64_t prefix, int vocab_size) {
  return static_cast<int32_t>(prefix % vocab_size);
}

// What a sequence with this prompt generates, whatever runs beside it: up to n tokens, the stop token not included.
inline std::vector<int32_t> expected_tokens(const std::vector<int32_t>& prompt, int n, int vocab_size, int32_t stop) {
  uint64_t prefix = 0;
  for (int32_t token : prompt) prefix = chain(prefix, token);
  std::vector<int32_t> out;
  while (static_cast<int>(out.size()) < n) {
    const int32_t token = next_token(prefix, vocab_size);
    if (token == stop) break;
    out.push_back(token);
    prefix = chain(prefix, token);
  }
  return out;
}

class FakeDevice {
 public:
  FakeDevice(int n_slots, int n_blocks, int block_size, int vocab_size)
      : block_size_(block_size),
        vocab_size_(vocab_size),
        tables_(n_slots),
        pool_(n_slots),
        cells_(n_blocks * block_size) {}

  // `has_mask(slot)` answers for constrained rows.
  template <typename HasMask>
  gattling::StepResult run(const gattling::Step& step, HasMask has_mask) {
    using namespace gattling;
    for (const SlotInit& init : step.inits) tables_[init.slot].clear();
    for (const BlockAppend& append : step.blocks) {
      check(append.index == static_cast<int>(tables_[append.slot].size()), "blocks are appended in order");
      tables_[append.slot].push_back(append.block);
    }
    StepResult result;
    size_t row = 0, target = 0;
    for (size_t i = 0; i < step.slices.size(); ++i) {
      const Slice& slice = step.slices[i];
      for (int k = 0; k < slice.count; ++k, ++row) {
        const int32_t token = step.tokens[row] == kFromPool ? pool_[slice.slot] : step.tokens[row];
        const int position = slice.start + k;
        cell(slice.slot, position) = chain(position ? cell(slice.slot, position - 1) : 0, token);
        if (k < slice.n_score)
          result.scored.push_back({static_cast<int>(i), step.targets[target++], RowStatus::Ok, -1, 0, 0});
      }
      if (!slice.sample) continue;
      const bool drawn = !slice.constrained || has_mask(slice.slot);
      const int32_t token = next_token(cell(slice.slot, slice.start + slice.count - 1), vocab_size_);
      if (drawn) pool_[slice.slot] = token;
      result.sampled.push_back({static_cast<int>(i), token, drawn ? RowStatus::Ok : RowStatus::NotSampled, -1, 0, 0});
    }
    return result;
  }

 private:
  uint64_t& cell(int slot, int position) {
    const auto& table = tables_[slot];
    gattling::check(position / block_size_ < static_cast<int>(table.size()), "position ", position, " has no block");
    return cells_[table[position / block_size_] * block_size_ + position % block_size_];
  }

  int block_size_, vocab_size_;
  std::vector<std::vector<int>> tables_;
  std::vector<int32_t> pool_;
  std::vector<uint64_t> cells_;
};

}  // namespace test
