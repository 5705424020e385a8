// RoPE (Su et al. 2021, in the half-split layout of Hugging Face) fused with the append to the paged cache.
#pragma once

#include "cuda/kernels/common.h"

namespace gattling::cuda {

// qkv [rows, stride] holds [Hq, D] of q, [Hkv, D] of k and of v. q is rotated in place; k, rotated, and v go into the
// cache at the row's position, k and v in qkv stay as they are. Rows with slot -1 are left alone.
struct RopeAppendArgs {
  void* qkv;
  int64_t stride;
  Half half;  // of qkv; the cache has its own
  int n_heads;
  StepRows step;
  const float* inv_freq;  // [D / 2] radians per position
  PagedCache cache;
  int rows;
};

void rope_append(const RopeAppendArgs& args, Stream& stream);

}  // namespace gattling::cuda
