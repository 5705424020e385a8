// The arithmetic of an attention tile (FlashAttention-2, Dao 2023, algorithm 1, on mma.sync): 16 packed queries of a
// warp against a step of keys.
//
// Shared memory holds rows of D elements in pieces of 8; piece c of row r lies at c ^ r % 8, so that the 8 rows of a
// matrix load are in different banks.
#pragma once

#include "cuda/device.h"
#include "cuda/kernels/attention.h"

namespace gattling::cuda {

template <typename Element, AttentionTile kKind, int kDim>
struct Tile {
  using T = Element;
  static constexpr int kD = kDim;
  static constexpr int kPieces = kD / 8;
  static constexpr int kQueries = attention_queries(kKind, kD);
  static constexpr int kThreads = attention_threads(kKind, kD);
  static constexpr int kBlocks = attention_blocks(kKind, kD);  // a processor's
  static constexpr int kKeys = attention_keys(kD);
  static constexpr int kStages = kAttentionStages;
  static constexpr int kRowWarps = kQueries / 16;
  static constexpr int kColumns = kD / (kThreads / kWarp / kRowWarps);  // of the result, a warp's
  static constexpr bool kPrefill = kKind == AttentionTile::Prefill;

  struct Layout {
    uint4 queries[kQueries * kPieces];
    uint4 keys[kStages][kKeys * kPieces];
    uint4 values[kStages][kKeys * kPieces];
    uint32_t is_last;
  };
  static_assert(sizeof(Layout) <= attention_shared_bytes(kKind, kD), "attention_shared_bytes must cover the layout");

  __device__ static int place(int row, int piece) { return row * kPieces + (piece ^ (row & 7)); }
};

// Two rows of a warp's 16 are a lane's: g = lane / 4 and g + 8. Of the scores it has keys 8 n + 2 t and the next, t =
// lane % 4, in [n][0, 1] and [n][2, 3]; of the result columns in the same way.
template <class Tile>
struct Softmax {
  float acc[Tile::kColumns / 8][4];
  float maximum[2];  // of scores in powers of 2, over the keys so far
  float sum[2];      // of weights; this lane's keys only, until finish()

  __device__ void clear() {
    GATTLING_UNROLL
    for (int n = 0; n < Tile::kColumns / 8; ++n) acc[n][0] = acc[n][1] = acc[n][2] = acc[n][3] = 0;
    maximum[0] = maximum[1] = -INFINITY;
    sum[0] = sum[1] = 0;
  }

  // Turns scores into weights relative to the new maximum.
  __device__ void add(float (&scores)[Tile::kKeys / 8][4], float scale) {
    GATTLING_UNROLL
    for (int half = 0; half < 2; ++half) {
      float most = scores[0][2 * half];
      GATTLING_UNROLL
      for (int n = 0; n < Tile::kKeys / 8; ++n) most = fmaxf(most, fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
      most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, 1));
      most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, 2));
      const float next = fmaxf(maximum[half], most * scale);
      const float base = next == -INFINITY ? 0 : next;  // a row that has seen no key yet
      const float factor = exp2_fast(maximum[half] - base);
      float weights = 0;
      GATTLING_UNROLL
      for (int n = 0; n < Tile::kKeys / 8; ++n) {
        GATTLING_UNROLL
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          scores[n][i] = exp2_fast(fmaf(scores[n][i], scale, -base));
          weights += scores[n][i];
        }
      }
      maximum[half] = next;
      sum[half] = fmaf(sum[half], factor, weights);
      GATTLING_UNROLL
      for (int n = 0; n < Tile::kColumns / 8; ++n) {
        acc[n][2 * half] *= factor;
        acc[n][2 * half + 1] *= factor;
      }
    }
  }

  __device__ void finish() {
    GATTLING_UNROLL
    for (int half = 0; half < 2; ++half) {
      sum[half] += __shfl_xor_sync(kAllLanes, sum[half], 1);
      sum[half] += __shfl_xor_sync(kAllLanes, sum[half], 2);
    }
  }
};

// scores = q k^T; `queries` are the tile's, first_row the warp's first.
template <class Tile>
__device__ __forceinline__ void multiply_keys(float (&scores)[Tile::kKeys / 8][4], const uint4* queries, int first_row,
                                              const uint4* keys) {
  const int lane = lane_id();
  GATTLING_UNROLL
  for (int n = 0; n < Tile::kKeys / 8; ++n) scores[n][0] = scores[n][1] = scores[n][2] = scores[n][3] = 0;
  GATTLING_UNROLL
  for (int d = 0; d < Tile::kD / 16; ++d) {
    uint32_t q[4];
    load_matrices(q, &queries[Tile::place(first_row + lane % 16, 2 * d + lane / 16)]);
    GATTLING_UNROLL
    for (int n = 0; n < Tile::kKeys / 16; ++n) {
      uint32_t k[4];
      load_matrices(k, &keys[Tile::place(n * 16 + lane / 16 * 8 + lane % 8, 2 * d + lane / 8 % 2)]);
      const uint32_t low[2] = {k[0], k[1]}, high[2] = {k[2], k[3]};
      multiply<typename Tile::T>(scores[2 * n], q, low);
      multiply<typename Tile::T>(scores[2 * n + 1], q, high);
    }
  }
}

// acc += weights v, for the columns from first_column on. The layout of a product is that of a factor.
template <class Tile>
__device__ __forceinline__ void multiply_values(float (&acc)[Tile::kColumns / 8][4],
                                                const float (&weights)[Tile::kKeys / 8][4], const uint4* values,
                                                int first_column) {
  using T = typename Tile::T;
  const int lane = lane_id();
  GATTLING_UNROLL
  for (int k = 0; k < Tile::kKeys / 16; ++k) {
    const float(&left)[4] = weights[2 * k], (&right)[4] = weights[2 * k + 1];
    const uint32_t p[4] = {pack2<T>(left[0], left[1]), pack2<T>(left[2], left[3]), pack2<T>(right[0], right[1]),
                           pack2<T>(right[2], right[3])};
    GATTLING_UNROLL
    for (int n = 0; n < Tile::kColumns / 16; ++n) {
      uint32_t v[4];
      load_matrices_transposed(v, &values[Tile::place(k * 16 + lane % 16, first_column / 8 + 2 * n + lane / 16)]);
      const uint32_t low[2] = {v[0], v[1]}, high[2] = {v[2], v[3]};
      multiply<T>(acc[2 * n], p, low);
      multiply<T>(acc[2 * n + 1], p, high);
    }
  }
}

}  // namespace gattling::cuda
