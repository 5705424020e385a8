// Activations as integers, for weights that are (kernels.h: IntBlock).
#pragma once

#include "cpu/kernels.h"
#include "cpu/pack.h"

namespace gattling::cpu {

class IntRows {
 public:
  // x [rows, k] as the section's kernels take it. What was there before is gone.
  void fill(const Kernels& kernels, ThreadPool& pool, const float* x, int64_t rows, const Section& section);

  const void* q() const { return q_.data(); }
  const IntBlock* blocks() const { return blocks_.data(); }

 private:
  std::vector<std::byte> q_;      // [rows][depth] integers of Kernels::int_size bytes
  std::vector<IntBlock> blocks_;  // [rows][depth / step]
};

}  // namespace gattling::cpu
