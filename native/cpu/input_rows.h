// Activations as the kernels of a section take them, where that is not fp32.
#pragma once

#include "cpu/kernels.h"
#include "cpu/pack.h"

namespace gattling::cpu {

class InputRows {
 public:
  // x [rows, k] as integers, for weights that are (kernels.h: IntBlock). What was there before is gone.
  void fill_ints(const Kernels& kernels, ThreadPool& pool, const float* x, int64_t rows, const Section& section);
  // As bf16.
  void fill_halves(const Kernels& kernels, ThreadPool& pool, const float* x, int64_t rows, const Section& section);

  const void* data() const { return data_.data(); }
  const IntBlock* blocks() const { return blocks_.data(); }

 private:
  std::byte* reserve(int64_t bytes);

  std::vector<std::byte> data_;   // [rows][depth], integers of Kernels::int_size bytes or bf16
  std::vector<IntBlock> blocks_;  // [rows][depth / step]
};

}  // namespace gattling::cpu
