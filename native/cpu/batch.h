// The step's inputs as the ops read them, and the slots that outlive a step.
#pragma once

#include <span>
#include <vector>

#include "backend/backend.h"
#include "cpu/sampler.h"

namespace gattling::cpu {

// A row that is scored or sampled.
struct Output {
  int row;
  int slice;
  int target;  // index into Batch::targets, -1: not scored
  bool sample;
};

class Slots {
 public:
  Slots() = default;
  explicit Slots(const StateShape& shape);

  void init(const SlotInit& init);
  void append(const BlockAppend& append);
  const int32_t* block_table(int slot) const { return block_tables_.data() + int64_t{slot} * max_blocks_; }
  const SlotSampling& sampling(int slot) const { return at(slot).sampling; }
  // A token was drawn: the slot's next kFromPool, and part of its counts.
  void take(int slot, int32_t token);
  int32_t last_token(int slot) const { return at(slot).last_token; }
  // Masks hold for one step.
  void set_mask(int slot, std::span<const uint32_t> bits);
  void clear_masks();
  std::span<const uint32_t> mask(int slot) const { return at(slot).mask; }

 private:
  struct Slot {
    SlotSampling sampling;
    int32_t last_token = 0;
    std::vector<uint32_t> mask;
  };
  const Slot& at(int slot) const { return slots_[static_cast<size_t>(slot)]; }

  int max_blocks_ = 0;
  std::vector<Slot> slots_;
  std::vector<int32_t> block_tables_;  // [n_slots, max_blocks]
};

struct Batch {
  std::vector<Slice> slices;
  std::vector<int> first_row;   // [slices]
  std::vector<int32_t> tokens;  // [rows] every id known
  std::vector<int> positions;   // [rows]
  std::vector<int> slots;       // [rows]
  std::vector<int32_t> targets;
  std::vector<Output> outputs;  // in row order
  std::vector<float> cosines;   // [rows, head_dim / 2] of the rotary angles
  std::vector<float> sines;

  int n_rows() const { return static_cast<int>(tokens.size()); }
  // A step that check_step() has passed.
  void load(const Step& step, const StateShape& shape, const Slots& slots);
};

}  // namespace gattling::cpu
