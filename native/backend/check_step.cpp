#include "backend/check_step.h"

#include "backend/error.h"

namespace gattling {
namespace {

void check_slot(int slot, const StateShape& shape) {
  check(slot >= 0 && slot < shape.n_slots, "Slot ", slot, " of a step is not below ", shape.n_slots, ".");
}

void check_slice(const Slice& slice, const StateShape& shape) {
  check_slot(slice.slot, shape);
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

void check_init(const SlotInit& init, const StateShape& shape) {
  check_slot(init.slot, shape);
  for (int32_t token : init.tokens) check_token(token, shape);
  for (const auto& [token, bias] : init.sampling->bias)
    check(token >= 0 && token < shape.vocab_size, "The logit bias names token ", token, ", which the vocabulary of ",
          shape.vocab_size, " lacks.");
  for (int32_t token : init.sampling->stop_ids)
    check(token >= 0 && token < shape.vocab_size, "The stop token ", token, " is not in the vocabulary of ",
          shape.vocab_size, ".");
}

void check_append(const BlockAppend& append, const StateShape& shape) {
  check(append.slot >= 0 && append.slot < shape.n_slots && append.index >= 0 && append.index < shape.max_blocks &&
            append.block >= 0 && append.block < shape.n_blocks,
        "Block ", append.block, " at index ", append.index, " of slot ", append.slot, " is not within ", shape.n_blocks,
        " blocks, ", shape.max_blocks, " a sequence and ", shape.n_slots, " slots.");
}

}  // namespace

void check_step(const Step& step, const StateShape& shape) {
  check(step.n_rows() <= shape.max_rows, "A step of ", step.n_rows(), " rows is more than the ", shape.max_rows,
        " that were allocated.");
  for (const SlotInit& init : step.inits) check_init(init, shape);
  for (const BlockAppend& append : step.blocks) check_append(append, shape);
  int64_t n_rows = 0, n_targets = 0;
  for (const Slice& slice : step.slices) {
    check_slice(slice, shape);
    n_rows += slice.count;
    n_targets += slice.n_score;
  }
  check(n_rows == step.n_rows() && n_targets == static_cast<int64_t>(step.targets.size()), "The slices of a step take ",
        n_rows, " tokens and ", n_targets, " targets, not ", step.n_rows(), " and ", step.targets.size(), ".");
  for (int32_t target : step.targets) check_token(target, shape);
  for (int32_t token : step.tokens)
    if (token != kFromPool) check_token(token, shape);
}

void check_mask(int slot, std::span<const uint32_t> bits, const StateShape& shape) {
  check(slot >= 0 && slot < shape.n_slots && bits.size() == (static_cast<size_t>(shape.vocab_size) + 31) / 32,
        "A mask of ", bits.size(), " words for slot ", slot, " does not fit ", shape.vocab_size, " tokens and ",
        shape.n_slots, " slots.");
}

void check_state(const StateShape& shape) {
  check(shape.n_kv_heads > 0 && shape.n_heads % shape.n_kv_heads == 0, "The ", shape.n_heads,
        " attention heads are not a multiple of the ", shape.n_kv_heads, " key-value heads; they have to be.");
  check(shape.head_dim > 0 && shape.head_dim % 2 == 0, "The head size is ", shape.head_dim, "; it has to be even.");
  check(shape.block_size > 0 && shape.block_size % 16 == 0, "The block size is ", shape.block_size,
        "; it has to be a multiple of 16.");
  check(shape.inv_freq.size() * 2 == static_cast<size_t>(shape.head_dim), "There are ", shape.inv_freq.size(),
        " rotary frequencies; heads of ", shape.head_dim, " take ", shape.head_dim / 2, ".");
}

}  // namespace gattling
