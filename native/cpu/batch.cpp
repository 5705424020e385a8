#include "cpu/batch.h"

#include <cmath>

#include "backend/error.h"

namespace gattling::cpu {
namespace {

void check_slice(const Slice& slice, const StateShape& shape) {
  check(slice.slot >= 0 && slice.slot < shape.n_slots, "Slot ", slice.slot, " of a step is not below ", shape.n_slots,
        ".");
  const int64_t room = int64_t{shape.max_blocks} * shape.block_size;
  check(slice.count > 0 && slice.start >= 0 && int64_t{slice.start} + slice.count <= room, "A slice of ", slice.count,
        " tokens from ", slice.start, " is not within the ", room, " positions of a sequence.");
  check(slice.n_score >= 0 && slice.n_score <= slice.count, "A slice scores ", slice.n_score, " of its ", slice.count,
        " rows; it can score those it has.");
}

void check_token(int32_t token, const StateShape& shape) {
  check(token >= 0 && token < shape.vocab_size, "Token id ", token, " is not in the vocabulary of ", shape.vocab_size,
        ".");
}

}  // namespace

Slots::Slots(const StateShape& shape)
    : max_blocks_(shape.max_blocks),
      n_blocks_(shape.n_blocks),
      vocab_size_(shape.vocab_size),
      slots_(static_cast<size_t>(shape.n_slots)),
      block_tables_(static_cast<size_t>(shape.n_slots) * static_cast<size_t>(shape.max_blocks)) {}

void Slots::init(const SlotInit& init) {
  check(init.slot >= 0 && init.slot < size(), "Slot ", init.slot, " is not below ", size(), ".");
  const auto known = [&](int32_t token) { return token >= 0 && token < vocab_size_; };
  for (int32_t token : init.tokens)
    check(known(token), "Token id ", token, " is not in the vocabulary of ", vocab_size_, ".");
  for (const auto& [token, bias] : init.sampling->bias)
    check(known(token), "The logit bias names token ", token, ", which the vocabulary of ", vocab_size_, " lacks.");
  for (int32_t token : init.sampling->stop_ids)
    check(known(token), "The stop token ", token, " is not in the vocabulary of ", vocab_size_, ".");
  Slot& slot = slots_[static_cast<size_t>(init.slot)];
  slot.sampling.init(init);
  slot.last_token = init.tokens.empty() ? 0 : init.tokens.back();
  slot.mask.clear();
}

void Slots::append(const BlockAppend& append) {
  check(append.slot >= 0 && append.slot < size() && append.index >= 0 && append.index < max_blocks_ &&
            append.block >= 0 && append.block < n_blocks_,
        "Block ", append.block, " at index ", append.index, " of slot ", append.slot, " is not within ", n_blocks_,
        " blocks, ", max_blocks_, " a sequence and ", size(), " slots.");
  block_tables_[static_cast<size_t>(int64_t{append.slot} * max_blocks_ + append.index)] = append.block;
}

void Slots::take(int slot, int32_t token) {
  Slot& taker = slots_[static_cast<size_t>(slot)];
  taker.last_token = token;
  taker.sampling.count(token);
}

void Slots::set_mask(int slot, std::span<const uint32_t> bits) {
  check(slot >= 0 && slot < size() && bits.size() == (static_cast<size_t>(vocab_size_) + 31) / 32, "A mask of ",
        bits.size(), " words for slot ", slot, " does not fit ", vocab_size_, " tokens and ", size(), " slots.");
  slots_[static_cast<size_t>(slot)].mask.assign(bits.begin(), bits.end());
}

void Slots::clear_masks() {
  for (Slot& slot : slots_) slot.mask.clear();
}

void Batch::load(const Step& step, const StateShape& shape, const Slots& state) {
  check(step.n_rows() <= shape.max_rows, "A step of ", step.n_rows(), " rows is more than the ", shape.max_rows,
        " that were allocated.");
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
    check_slice(slice, shape);
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
  check(positions.size() == tokens.size() && static_cast<size_t>(n_targets) == targets.size(),
        "The slices of a step take ", positions.size(), " tokens and ", n_targets, " targets, not ", tokens.size(),
        " and ", targets.size(), ".");
  for (int32_t target : targets) check_token(target, shape);
  for (size_t row = 0; row < tokens.size(); ++row) {
    if (tokens[row] == kFromPool) tokens[row] = state.last_token(slots[row]);
    check_token(tokens[row], shape);
  }

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
