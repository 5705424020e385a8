// The product that linear() has in both its kernels where they are to give the same bits. Weights are the m16n8k16's
// side of 16 rows, x its side of 8.
//
// K goes in steps of 32, and within a step it is permuted, for both operands alike: lane (g = lane / 4, t = lane % 4)
// holds elements 8t .. 8t + 7 of its rows, the 16 bytes of one load; the first four of them take the places that
// mma.sync gives the lane in one product, the last four those in the next. So fragments come as they lie in memory.
#pragma once

#include "cuda/device.h"

namespace gattling::cuda {

// Sums of 16 kTiles outputs and 8 kGroups rows: of tile i and group j, output 16 i + 8 (e / 2) + g and row
// 8 j + 2t + e % 2 are element e.
template <int kTiles, int kGroups>
struct Sums {
  float at[kTiles][kGroups][4];

  __device__ __forceinline__ void clear() {
    GATTLING_UNROLL
    for (int i = 0; i < kTiles; ++i) {
      GATTLING_UNROLL
      for (int j = 0; j < kGroups; ++j) {
        GATTLING_UNROLL
        for (int e = 0; e < 4; ++e) at[i][j][e] = 0;
      }
    }
  }

  __device__ __forceinline__ void add(const Sums& other) {
    GATTLING_UNROLL
    for (int i = 0; i < kTiles; ++i) {
      GATTLING_UNROLL
      for (int j = 0; j < kGroups; ++j) {
        GATTLING_UNROLL
        for (int e = 0; e < 4; ++e) at[i][j][e] += other.at[i][j][e];
      }
    }
  }
};

// What a lane holds of a step: weight rows g and g + 8 of each tile, row g of x of each group.
template <int kTiles, int kGroups>
struct Fragments {
  uint4 weight[kTiles][2];
  uint4 x[kGroups];
};

template <typename T, int kTiles, int kGroups>
__device__ __forceinline__ void multiply_step(Sums<kTiles, kGroups>& sums, const Fragments<kTiles, kGroups>& f) {
  GATTLING_UNROLL
  for (int i = 0; i < kTiles; ++i) {
    GATTLING_UNROLL
    for (int j = 0; j < kGroups; ++j) {
      const uint32_t a[4] = {f.weight[i][0].x, f.weight[i][1].x, f.weight[i][0].y, f.weight[i][1].y};
      const uint32_t b[2] = {f.x[j].x, f.x[j].y};
      multiply<T>(sums.at[i][j], a, b);
    }
  }
  // All sums once before any again: a product waits for the one before it on its sum.
  GATTLING_UNROLL
  for (int i = 0; i < kTiles; ++i) {
    GATTLING_UNROLL
    for (int j = 0; j < kGroups; ++j) {
      const uint32_t a[4] = {f.weight[i][0].z, f.weight[i][1].z, f.weight[i][0].w, f.weight[i][1].w};
      const uint32_t b[2] = {f.x[j].z, f.x[j].w};
      multiply<T>(sums.at[i][j], a, b);
    }
  }
}

}  // namespace gattling::cuda
