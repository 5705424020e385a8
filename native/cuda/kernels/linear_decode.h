// The kernel of linear() for up to 32 rows, for any weights that come as fragments: linear_decode.cu has plain ones,
// linear_ints.cu integers.
//
// A block has 16 or 32 outputs and all rows; its warps take a segment of K each and add their sums in order through
// shared memory. Where n gives too few blocks, K is split over blocks as well (linear_plan.h). Source: none; the
// fragments' order is in linear_multiply.h.
//
// Weights::Cursor<T, kTiles> is where a lane's weights are. load(held, step) fetches those of 32 of K, fragments(held,
// weight) makes them what mma.sync takes.
#pragma once

#include "cuda/kernels/linear_finish.h"

namespace gattling::cuda {

constexpr int kDecodeThreads = kChains * kWarp;

// Of kGroups groups of 8 rows. With 32 outputs a block, 32 rows cost as many loads of x as of weights. kAhead steps are
// in flight: 2 or 4 KB of weights a warp, 64 KB and more a processor, twice what its share of 4.8 TB/s needs.
template <int kGroups>
struct DecodeShape {
  static constexpr int kTiles = kGroups < 4 ? 1 : 2;
  static constexpr int kAhead = kGroups < 4 ? 4 : 2;
  static constexpr int kBlocks = kGroups == 1 ? 3 : 2;  // a processor
};

template <int kGroups>
struct DecodeLayout {
  SumTile<16 * DecodeShape<kGroups>::kTiles, 8 * kGroups> warps[kChains];
  int arrived;  // of the blocks that share the tile, before this one
};

// Where a lane's rows of x are, at its first element of a segment, in elements from the first row: 32-bit offsets,
// since pointers take the registers of the fragments. Rows past the end are the last one again: their sums go nowhere.
template <typename T, int kGroups>
struct InputCursor {
  const T* x;
  int at[kGroups];

  __device__ __forceinline__ InputCursor(const LinearArgs& a, int k) : x(static_cast<const T*>(a.x)) {
    const int g = lane_id() / 4, t = lane_id() % 4;
    GATTLING_UNROLL
    for (int j = 0; j < kGroups; ++j) at[j] = min(8 * j + g, a.rows - 1) * a.k_stride + k + 8 * t;
  }

  __device__ __forceinline__ void load(uint4 (&held)[kGroups], int step) const {
    GATTLING_UNROLL
    for (int j = 0; j < kGroups; ++j) held[j] = *reinterpret_cast<const uint4*>(x + (at[j] + 32 * step));
  }
};

template <typename T, typename Weights, int kTiles, int kGroups, int kAhead>
__device__ __forceinline__ void multiply_segment(Sums<kTiles, kGroups>& sums, const Weights& weights,
                                                 const InputCursor<T, kGroups>& inputs, int n_steps) {
  struct Held {
    typename Weights::Held weight;
    uint4 x[kGroups];
  };
  Held ring[kAhead];
  GATTLING_UNROLL
  for (int i = 0; i < kAhead; ++i) {
    if (i >= n_steps) break;
    weights.load(ring[i].weight, i);
    inputs.load(ring[i].x, i);
  }
  for (int step = 0; step < n_steps; step += kAhead) {
    GATTLING_UNROLL
    for (int i = 0; i < kAhead; ++i) {
      if (step + i >= n_steps) break;
      Fragments<kTiles, kGroups> f;
      weights.fragments(ring[i].weight, f.weight);
      GATTLING_UNROLL
      for (int j = 0; j < kGroups; ++j) f.x[j] = ring[i].x[j];
      multiply_step<T>(sums, f);
      if (step + i + kAhead >= n_steps) continue;
      weights.load(ring[i].weight, step + i + kAhead);
      inputs.load(ring[i].x, step + i + kAhead);
    }
  }
}

template <typename T, int kGroups, typename Weights>
__global__ void __launch_bounds__(kDecodeThreads, DecodeShape<kGroups>::kBlocks)
    decode_kernel(LinearArgs a, int segment) {
  using S = DecodeShape<kGroups>;
  using Tile = SumTile<16 * S::kTiles, 8 * kGroups>;
  using Cursor = typename Weights::template Cursor<T, S::kTiles>;
  DecodeLayout<kGroups>& memory = shared<DecodeLayout<kGroups>>();
  const int thread = static_cast<int>(threadIdx.x), warp = thread / kWarp;
  const int first = static_cast<int>(blockIdx.x) * Tile::kOutputs;
  const int k = min((static_cast<int>(blockIdx.z) * kChains + warp) * segment, a.k_stride);

  Sums<S::kTiles, kGroups> sums;
  sums.clear();
  multiply_segment<T, Cursor, S::kTiles, kGroups, S::kAhead>(sums, Cursor(a, first, k), InputCursor<T, kGroups>(a, k),
                                                             min(segment, a.k_stride - k) / 32);
  memory.warps[warp].put(sums, 0, 0);
  __syncthreads();
  for (int i = thread; i < Tile::kOutputs * Tile::kRows; i += kDecodeThreads) {
    const int row = i / Tile::kOutputs, output = i % Tile::kOutputs;
    float sum = memory.warps[0].at[row][output];
    for (int w = 1; w < kChains; ++w) sum += memory.warps[w].at[row][output];
    memory.warps[0].at[row][output] = sum;
  }
  __syncthreads();
  const TilePlace place = {first, 0, static_cast<int>(blockIdx.x), static_cast<int>(gridDim.x)};
  finish<T, kDecodeThreads>(a, memory.warps[0], place, memory.arrived);
}

template <typename T, typename Weights, int kGroups>
void run_decode_groups(const LinearArgs& a, const LinearPlan& plan, Stream& stream) {
  const Dim grid(static_cast<unsigned>(ceil_div(a.n, 16 * DecodeShape<kGroups>::kTiles)), 1,
                 static_cast<unsigned>(ceil_div(a.k_stride, plan.range)));
  launch(decode_kernel<T, kGroups, Weights>, grid, Dim(kDecodeThreads), sizeof(DecodeLayout<kGroups>), stream, a,
         plan.segment);
}

template <typename Weights, typename T>
void run_decode(const LinearArgs& a, const LinearPlan& plan, Stream& stream) {
  if (a.rows <= 8)
    run_decode_groups<T, Weights, 1>(a, plan, stream);
  else if (a.rows <= 16)
    run_decode_groups<T, Weights, 2>(a, plan, stream);
  else
    run_decode_groups<T, Weights, 4>(a, plan, stream);
}

}  // namespace gattling::cuda
