// Quantised tensors for tests: random integers, scales and offsets, and what they mean.
#pragma once

#include <string>
#include <vector>

#include "backend/quantised.h"
#include "ops_cases.h"

namespace ops {

struct IntsOf {
  int bits = 8;
  int64_t group = 32;  // 0: a row
  bool offsets = false;
  bool halves = true;      // scales and offsets that fp16 holds
  bool reordered = false;  // act-order

  std::string name() const;
};

// A tensor [n, k] of integers that are all over their range.
class RandomInts final : public gattling::Quantised {
 public:
  RandomInts(Random& random, const IntsOf& of, int64_t n, int64_t k);
  RandomInts(const RandomInts&) = delete;

  int bits() const override { return of_.bits; }
  int64_t group() const override { return of_.group == 0 ? k_ : of_.group; }
  bool has_offsets() const override { return of_.offsets; }
  void read(int64_t row, int64_t first, int64_t count, int8_t* q, float* scales, float* offsets) const override;
  std::span<const int32_t> order() const override { return order_; }

  // Valid while this lives.
  gattling::HostTensor tensor() const;
  reference::Matrix values() const;  // [n, k] in the order of the inputs

 private:
  int64_t n_groups() const { return (k_ + group() - 1) / group(); }

  IntsOf of_;
  int64_t n_, k_;
  std::vector<int8_t> q_;                // [n][k]
  std::vector<float> scales_, offsets_;  // [n][groups]
  std::vector<int32_t> order_;
};

// x [rows, k] as the CPU's kernels multiply it with such a weight: rounded to integers in [-127, 127] per row and block
// of 32 columns of the stored order, of 16 where groups are.
reference::Matrix rounded(const std::vector<float>& x, const gattling::Quantised& weight, int64_t k);

}  // namespace ops
