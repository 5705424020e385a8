// A step on its way to the device: copied into page-locked memory, uploaded, and spread over the arrays that ops read.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "backend/backend.h"
#include "cuda/kernels/common.h"
#include "cuda/kernels/prepare.h"

namespace gattling::cuda {

// Page-locked memory and its copy on the device, for what differs from step to step. Steps are planned one ahead, so
// the host fills the next of three while the copy of the last may still be under way.
class Upload {
 public:
  static constexpr size_t kRing = 3;

  Upload() = default;
  explicit Upload(size_t bytes);

  // The next host side, `bytes` of it at most; larger than ever before: both sides are made anew.
  std::byte* next(size_t bytes, Stream& stream);
  void send(size_t bytes, Stream& stream);
  std::byte* device() const { return device_.as<std::byte>(); }

 private:
  struct Stage {
    HostBuffer memory;
    std::unique_ptr<Event> copied;
  };
  std::array<Stage, kRing> ring_;
  size_t turn_ = 0;
  Buffer device_;
};

class StepInputs {
 public:
  StepInputs() = default;
  StepInputs(const StateShape& shape, int max_bucket, Stream& stream);

  // Enqueues everything; `bucket` rows are made, those behind the step's own without a slot.
  void begin(const Step& step, int bucket, const int32_t* last_tokens, Stream& stream);

  StepRows rows() const { return {tokens_.as<int32_t>(), positions_.as<int32_t>(), slots_.as<int32_t>()}; }
  const int32_t* block_tables() const { return block_tables_.as<int32_t>(); }

 private:
  int max_blocks_ = 0;
  Upload upload_;
  Buffer tokens_, positions_, slots_;  // [max_bucket] int32
  Buffer block_tables_;                // [n_slots, max_blocks] int32
};

}  // namespace gattling::cuda
