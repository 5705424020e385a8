#include "cpu/batch.h"

#include <cmath>

namespace gattling::cpu {
Slots::Slots(const StateShape& shape)
    : max_blocks_(shape.max_blocks),
      slots_(static_cast<size_t>(shape.n_slots)),
      block_tables_(static_cast<size_t>(shape.n_slots) * static_cast<size_t>(shape.max_blocks)) {}

void Slots::init(const SlotInit& init) {
  Slot& slot = slots_[static_cast<size_t>(init.slot)];
  slot.sampling.init(init);
  slot.last_token = init.tokens.empty() ? 0 : init.tokens.back();
  slot.mask.clear();
}

void Slots::append(const BlockAppend& append) {
  block_tables_[static_cast<size_t>(int64_t{append.slot} * max_blocks_ + append.index)] = append.block;
}

void Slots::take(int slot, int32_t token) {
  Slot& taker = slots_[static_cast<size_t>(slot)];
  taker.last_token = token;
  taker.sampling.count(token);
}

void Slots::set_mask(int slot, std::span<const uint32_t> bits) {
  slots_[static_cast<size_t>(slot)].mask.assign(bits.begin(), bits.end());
}

void Slots::clear_masks() {
  for (Slot& slot : slots_) slot.mask.clear();
}

void Batch::load(const Step& step, const StateShape& shape, const Slots& state) {
  slices = step.slices;
  targets = step.targets;
  tokens = step.tokens;
  first_row.clear();
  positions.clear();
  slots.clear();
  outputs.clear();
  int n_targets = 0;
  for (size_t i = 0; i < slices.size(); ++i) {
    const Slice& slice = slices[i];
    const int first = static_cast<int>(positions.size());
    first_row.push_back(first);
    for (int r = 0; r < slice.count; ++r) {
      positions.push_back(slice.start + r);
      slots.push_back(slice.slot);
      const bool score = r < slice.n_score;
      const bool sample = slice.sample && r == slice.count - 1;
      if (score || sample) outputs.push_back({first + r, static_cast<int>(i), score ? n_targets++ : -1, sample});
    }
  }
  for (size_t row = 0; row < tokens.size(); ++row)
    if (tokens[row] == kFromPool) tokens[row] = state.last_token(slots[row]);

  const size_t half = shape.inv_freq.size();
  cosines.resize(tokens.size() * half);
  sines.resize(tokens.size() * half);
  for (size_t row = 0; row < tokens.size(); ++row)
    for (size_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(positions[row]) * static_cast<double>(shape.inv_freq[i]);
      cosines[row * half + i] = static_cast<float>(std::cos(angle));
      sines[row * half + i] = static_cast<float>(std::sin(angle));
    }
}

}  // namespace gattling::cpu
