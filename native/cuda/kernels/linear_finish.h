// What follows the products of linear(), alike in both its kernels: adding the parts of a K split over blocks, bias,
// SwiGLU, narrowing, storing.
#pragma once

#include "cuda/kernels/linear_multiply.h"
#include "cuda/kernels/linear_plan.h"

namespace gattling::cuda {

// A block's sums in shared memory. The odd pitch keeps the stores of a warp in different banks: lanes of different t
// are two rows apart, 8 banks.
template <int kOutputs_, int kRows_>
struct SumTile {
  static constexpr int kOutputs = kOutputs_, kRows = kRows_;
  float at[kRows][kOutputs + 4];

  template <int kTiles, int kGroups>
  __device__ __forceinline__ void put(const Sums<kTiles, kGroups>& sums, int output, int row) {
    const int g = lane_id() / 4, t = lane_id() % 4;
    GATTLING_UNROLL
    for (int i = 0; i < kTiles; ++i) {
      GATTLING_UNROLL
      for (int j = 0; j < kGroups; ++j) {
        GATTLING_UNROLL
        for (int e = 0; e < 4; ++e)
          at[row + 8 * j + 2 * t + e % 2][output + 16 * i + 8 * (e / 2) + g] = sums.at[i][j][e];
      }
    }
  }
};

// Where a block's tile lies in the output.
struct TilePlace {
  int output, row;
  int index, count;  // among the tiles
};

// Leaves this block's part in the workspace, [part][tile][row][output]. The last block of a tile to do so gets the sum
// of all parts, in ascending order whoever is last, and the counter back at zero; the others get false.
template <int kThreads, typename Tile>
__device__ bool add_parts(float* workspace, Tile& tile, const TilePlace& place, int& arrived) {
  constexpr int kVectors = Tile::kOutputs / 4;
  constexpr size_t kSize = size_t{Tile::kOutputs} * Tile::kRows;
  const int thread = static_cast<int>(threadIdx.x), n_parts = static_cast<int>(gridDim.z);
  int* counter = reinterpret_cast<int*>(workspace) + place.index;
  float* parts = workspace + kCounters + place.index * kSize;
  const auto part = [&](int z, int i) { return reinterpret_cast<float4*>(parts + z * place.count * kSize) + i; };
  for (int i = thread; i < Tile::kRows * kVectors; i += kThreads)
    *part(static_cast<int>(blockIdx.z), i) = *reinterpret_cast<float4*>(&tile.at[i / kVectors][i % kVectors * 4]);
  __threadfence();
  __syncthreads();
  if (thread == 0) {
    arrived = atomicAdd(counter, 1);
    if (arrived == n_parts - 1) *counter = 0;
  }
  __syncthreads();
  if (arrived != n_parts - 1) return false;
  __threadfence();
  for (int i = thread; i < Tile::kRows * kVectors; i += kThreads) {
    float4 sum = *part(0, i);
    for (int z = 1; z < n_parts; ++z) {
      const float4 more = *part(z, i);
      sum = make_float4(sum.x + more.x, sum.y + more.y, sum.z + more.z, sum.w + more.w);
    }
    *reinterpret_cast<float4*>(&tile.at[i / kVectors][i % kVectors * 4]) = sum;
  }
  __syncthreads();
  return true;
}

template <typename T>
__device__ __forceinline__ void store8(T* to, const float (&v)[8]) {
  *reinterpret_cast<uint4*>(to) =
      make_uint4(pack2<T>(v[0], v[1]), pack2<T>(v[2], v[3]), pack2<T>(v[4], v[5]), pack2<T>(v[6], v[7]));
}
template <>
__device__ __forceinline__ void store8<float>(float* to, const float (&v)[8]) {
  reinterpret_cast<float4*>(to)[0] = make_float4(v[0], v[1], v[2], v[3]);
  reinterpret_cast<float4*>(to)[1] = make_float4(v[4], v[5], v[6], v[7]);
}

// Columns past n are left alone.
template <typename T>
__device__ __forceinline__ void store(const LinearArgs& a, int row, int column, int n, const float (&v)[8]) {
  T* to = static_cast<T*>(a.out) + static_cast<size_t>(row) * a.out_stride + column;
  if (column + 8 <= n) {
    store8(to, v);
  } else {
    GATTLING_UNROLL
    for (int i = 0; i < 8; ++i)
      if (column + i < n) to[i] = narrow<T>(v[i]);
  }
}

__device__ __forceinline__ float silu(float x) {
  return __fdividef(x, 1.0f + __expf(-x));
}

template <typename T, int kThreads, bool kSwiglu, typename Tile>
__device__ void store_tile(const LinearArgs& a, const Tile& tile, const TilePlace& place) {
  constexpr int kShare = kSwiglu ? 2 : 1;  // sums of an output
  constexpr int kVectors = Tile::kOutputs / 8 / kShare;
  const auto sum = [&](int row, int i) {
    const int output = place.output + i;
    return tile.at[row][i] + (a.bias != nullptr && output < a.n ? a.bias[output] : 0.0f);
  };
  for (int i = static_cast<int>(threadIdx.x); i < Tile::kRows * kVectors; i += kThreads) {
    const int row = i / kVectors, first = i % kVectors * 8 * kShare;
    if (place.row + row >= a.rows) return;
    float v[8];
    GATTLING_UNROLL
    for (int j = 0; j < 8; ++j)
      v[j] = kSwiglu ? silu(sum(row, first + j)) * sum(row, first + 8 + j) : sum(row, first + j);
    const int column = (place.output + first) / kShare;
    if (a.out_fp32)
      store<float>(a, place.row + row, column, a.n / kShare, v);
    else
      store<T>(a, place.row + row, column, a.n / kShare, v);
  }
}

// Called by all threads once the tile holds the block's sums and is synchronised.
template <typename T, int kThreads, typename Tile>
__device__ void finish(const LinearArgs& a, Tile& tile, const TilePlace& place, int& arrived) {
  if (gridDim.z > 1 && !add_parts<kThreads>(a.workspace, tile, place, arrived)) return;
  if (a.swiglu)
    store_tile<T, kThreads, true>(a, tile, place);
  else
    store_tile<T, kThreads, false>(a, tile, place);
}

}  // namespace gattling::cuda
