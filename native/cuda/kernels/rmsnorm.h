// residual += delta; out = residual / rms(residual) * scale (RMSNorm, Zhang and Sennrich 2019).
#pragma once

#include "cuda/kernels/common.h"

namespace gattling::cuda {

// residual [rows, stride] fp32; delta [rows, stride] or null and out [rows, stride] of type `half`, n columns of each;
// scale [n] fp32.
struct RmsNormArgs {
  float* residual;
  const void* delta;
  const float* scale;
  void* out;
  Half half;
  int rows;
  int n;
  int stride;
  float eps;
};

void rmsnorm(const RmsNormArgs& args, Stream& stream);

}  // namespace gattling::cuda
