// out = x * weight^T (+ bias), or silu(gate) * up of what that gives (SwiGLU, Shazeer 2020): every matrix of a model.
//
// Deterministic: an output's bits depend on its row of x, its row of weight, n and k_stride only, not on `rows` nor on
// where its row stands. Both kernels then sum K in the same chains and add those in the same order (linear_plan.h).
// Otherwise that holds for up to kDecodeRows rows; past them, bits depend on `rows`, and are the same in every run.
#pragma once

#include "cuda/kernels/common.h"

namespace gattling::cuda {

// Bytes that the sums of a K split over blocks may take, for any shape. They are zeros before the first call, and only
// calls of one stream share them.
constexpr size_t kLinearWorkspace = size_t{6} << 20;

// Weights as integers (backend/quantised.h), in tiles of 16 outputs and 32 of K, a tile's lanes behind each other as
// linear_multiply.h has them: of rows g and g + 8, elements 8t .. 8t + 7, q + 128 in bytes or q + 8 in nibbles.
struct LinearInts {
  const void* q = nullptr;         // [n / 16][k_stride / 32][32 lanes][2 rows][8]; null: weights are plain
  const void* scales = nullptr;    // [n / 16][groups][8][2]: of rows g and g + 8; fp16, or fp32 beside offsets
  const float* offsets = nullptr;  // likewise, or null
  int bits = 0;                    // 8 or 4
  int group_shift = 0;             // a group is 2^group_shift of K, at least 8
};

struct LinearArgs {
  const void* x;       // [rows, k_stride] of `half`; columns past k are zeros
  const void* weight;  // [n, k_stride] of `half`; columns past k are zeros
  const float* bias;   // [n], or null
  void* out;           // [rows, out_stride], of which n columns are written (n / 2 with swiglu)
  Half half;
  bool out_fp32;  // out is fp32, else of `half`
  int rows;
  int n;
  int k_stride;    // elements, a multiple of 64
  int out_stride;  // elements, a multiple of 64
  bool deterministic;
  float* workspace;
  size_t workspace_bytes;
  // Rows of weight (and bias) are eight of gate, then the same eight of up, and so on; n is a multiple of 16.
  bool swiglu = false;
  // Instead of `weight`, for up to kDecodeRows rows; for more, widen_ints() makes that of it.
  LinearInts ints{};
};

void linear(const LinearArgs& args, Stream& stream);

// Writes args.ints to out [n, k_stride] of `half`.
void widen_ints(const LinearArgs& args, void* out, Stream& stream);

}  // namespace gattling::cuda
