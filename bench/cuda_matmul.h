// Buffers of a linear layer, in as many sets as launches take turns with.
#pragma once

#include <vector>

#include "cuda/kernels/linear.h"
#include "cuda_bench.h"

namespace bench {

class MatmulBuffers {
 public:
  MatmulBuffers(Bench& bench, int rows, int n, int k);

  int n_sets() const { return static_cast<int>(weights_.size()); }
  double weight_bytes() const { return 2.0 * n_ * k_; }
  double operations() const { return 2.0 * rows_ * n_ * k_; }
  void* x(int set) const { return xs_[static_cast<size_t>(set)].as<void>(); }
  void* weight(int set) const { return weights_[static_cast<size_t>(set)].as<void>(); }
  void* out(int set) const { return outs_[static_cast<size_t>(set)].as<void>(); }
  void enqueue(int set);
  void require_finite();

 private:
  Bench* bench_;
  int rows_, n_, k_;
  std::vector<Buffer> xs_, weights_, outs_;
  Buffer workspace_;
};

}  // namespace bench
