// residual += delta; out = residual / rms(residual) * scale (RMSNorm, Zhang and Sennrich 2019).
#pragma once

#include "cuda/kernels/common.h"

namespace gattling::cuda {

// residual [rows, n] fp32; delta [rows, n] or null and out [rows, n] of type `half`; scale [n] fp32.
struct RmsNormArgs {
  float* residual;
  const void* delta;
  const float* scale;
  void* out;
  Half half;
  int rows;
  int n;
  float eps;
};

void rmsnorm(const RmsNormArgs& args, Stream& stream);

}  // namespace gattling::cuda
