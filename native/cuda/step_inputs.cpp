#include "cuda/step_inputs.h"

#include <algorithm>

namespace gattling::cuda {

Upload::Upload(size_t bytes) : device_(bytes) {
  for (Stage& stage : ring_) stage = {HostBuffer(bytes), std::make_unique<Event>()};
}

std::byte* Upload::next(size_t bytes, Stream& stream) {
  if (bytes > device_.bytes()) {
    stream.synchronize();  // earlier steps read what is about to go
    *this = Upload(std::max(bytes, device_.bytes() * 2));
  }
  turn_ = (turn_ + 1) % kRing;
  ring_[turn_].copied->wait();
  return ring_[turn_].memory.as<std::byte>();
}

void Upload::send(size_t bytes, Stream& stream) {
  stream.copy_to_device(device_.as<std::byte>(), ring_[turn_].memory.as<std::byte>(), bytes);
  ring_[turn_].copied->record(stream);
}

StepInputs::StepInputs(const StateShape& shape, int max_bucket, Stream& stream) : max_blocks_(shape.max_blocks) {
  const size_t rows = static_cast<size_t>(max_bucket) * sizeof(int32_t);
  upload_ = Upload(3 * rows + 4096);
  tokens_ = Buffer(rows);
  positions_ = Buffer(rows);
  slots_ = Buffer(rows);
  block_tables_ = Buffer(static_cast<size_t>(shape.n_slots) * static_cast<size_t>(shape.max_blocks) * sizeof(int32_t));
  stream.fill(block_tables_.as<void>(), 0, block_tables_.bytes());
}

// Uploaded: table entries, then tokens, positions and slots.
void StepInputs::begin(const Step& step, int bucket, const int32_t* last_tokens, Stream& stream) {
  const size_t n_rows = step.tokens.size(), n_entries = step.blocks.size();
  const size_t bytes = n_entries * sizeof(BlockEntry) + 3 * n_rows * sizeof(int32_t);
  std::byte* host = upload_.next(bytes, stream);
  auto* entries = reinterpret_cast<BlockEntry*>(host);
  for (const BlockAppend& append : step.blocks) *entries++ = {append.slot * max_blocks_ + append.index, append.block};
  auto* tokens = reinterpret_cast<int32_t*>(entries);
  int32_t* positions = std::copy(step.tokens.begin(), step.tokens.end(), tokens);
  int32_t* slots = positions + n_rows;
  for (const Slice& slice : step.slices)
    for (int row = 0; row < slice.count; ++row) {
      *positions++ = slice.start + row;
      *slots++ = slice.slot;
    }
  upload_.send(bytes, stream);

  const auto* device_entries = reinterpret_cast<const BlockEntry*>(upload_.device());
  const auto* device_rows = reinterpret_cast<const int32_t*>(device_entries + n_entries);
  PrepareArgs args{};
  args.tokens_in = device_rows;
  args.positions_in = device_rows + n_rows;
  args.slots_in = device_rows + 2 * n_rows;
  args.entries = device_entries;
  args.n_rows = static_cast<int>(n_rows);
  args.n_entries = static_cast<int>(n_entries);
  args.last_tokens = last_tokens;
  args.tokens = tokens_.as<int32_t>();
  args.positions = positions_.as<int32_t>();
  args.slots = slots_.as<int32_t>();
  args.block_tables = block_tables_.as<int32_t>();
  args.bucket = bucket;
  prepare(args, stream);
}

}  // namespace gattling::cuda
