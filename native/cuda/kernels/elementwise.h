// The ops that only move elements: embedding, SwiGLU, gathering rows.
#pragma once

#include "cuda/kernels/common.h"

namespace gattling::cuda {

// residual[row] = table[tokens[row]], widened to fp32. table [V, table_stride], residual [rows, residual_stride].
struct EmbedArgs {
  const void* table;
  Half half;
  int64_t table_stride;
  const int32_t* tokens;
  float* residual;
  int64_t residual_stride;
  int rows;
  int n;
};
void embed(const EmbedArgs& args, Stream& stream);

// out = silu(gate) * up (SwiGLU, Shazeer 2020). gate_up [rows, gate_up_stride]: n columns of gate, then n of up; or,
// when it is interleaved, eight of gate, the same eight of up, and so on (linear.h).
struct SwigluArgs {
  const void* gate_up;
  int64_t gate_up_stride;
  void* out;
  int64_t out_stride;
  Half half;
  int rows;
  int n;
  bool interleaved = false;
};
void swiglu(const SwigluArgs& args, Stream& stream);

// out[i] = x[rows[i]]: `count` rows of n elements, whose indices lie on the device.
struct GatherArgs {
  const void* x;
  int64_t x_stride;
  void* out;
  int64_t out_stride;
  const int32_t* rows;
  int count;
  int n;
};
void gather(const GatherArgs& args, Stream& stream);

// out[i] [n] = the sum of x[first .. first + count) in fp32, in ascending order, for sums[i] = {first, count}.
struct RowSum {
  int32_t first;
  int32_t count;
};
struct SumRowsArgs {
  const void* x;
  int64_t x_stride;
  Half half;
  const RowSum* sums;
  int n_sums;
  float* out;
  int n;
};
void sum_rows(const SumRowsArgs& args, Stream& stream);

}  // namespace gattling::cuda
