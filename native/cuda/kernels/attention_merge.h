// Merging parts of a query's softmax, and where results go (flash-decoding, Dao et al. 2023).
#pragma once

#include "cuda/kernels/attention_load.h"

namespace gattling::cuda {

// How a part joins a total: total = total * of_total + part * of_part, for the result and for the sum of weights. A
// part that saw no key changes nothing.
struct Merge {
  float maximum, of_total, of_part;

  __device__ Merge(float total_maximum, float part_maximum) {
    maximum = fmaxf(total_maximum, part_maximum);
    const float base = maximum == -INFINITY ? 0 : maximum;
    of_total = exp2_fast(total_maximum - base);
    of_part = exp2_fast(part_maximum - base);
  }
  __device__ float operator()(float total, float part) const { return fmaf(part, of_part, total * of_total); }
};

// out[at], [at + 1]. Adding 0 makes a zero positive, however many parts it came from.
__device__ __forceinline__ void store_pair(const AttentionArgs& a, int64_t at, float x, float y, float sum) {
  x = x / sum + 0.0f;
  y = y / sum + 0.0f;
  const uint32_t pair = a.half == Half::BF16 ? pack2<BF16>(x, y) : pack2<F16>(x, y);
  *reinterpret_cast<uint32_t*>(static_cast<uint16_t*>(a.out) + at) = pair;
}

// What a block's tile has summed up to the last border that its keys crossed. Each thread keeps its own share in global
// memory: registers have no room for it.
template <class Tile>
struct Total {
  static constexpr int kPieces = Tile::kColumns / 8;  // and one more: both maxima and both sums
  bool any = false;

  __device__ static float4& piece(const AttentionSpace& space, int n) {
    const int64_t tile = static_cast<int64_t>(blockIdx.x) * (kPieces + 1) + n;
    return reinterpret_cast<float4*>(space.totals)[tile * Tile::kThreads + threadIdx.x];
  }

  // Both become the total with the part in it.
  __device__ void add(Softmax<Tile>& part, const AttentionSpace& space) {
    part.finish();
    const float4 ends = any ? piece(space, kPieces) : float4{-INFINITY, -INFINITY, 0, 0};
    const Merge first(ends.x, part.maximum[0]), second(ends.y, part.maximum[1]);
    GATTLING_UNROLL
    for (int n = 0; n < kPieces; ++n) {
      if (n % 4 == 0) __syncwarp();  // no later load moves up: it would take a register that is not there
      float(&acc)[4] = part.acc[n];
      const float4 total = any ? piece(space, n) : float4{0, 0, 0, 0};
      acc[0] = first(total.x, acc[0]);
      acc[1] = first(total.y, acc[1]);
      acc[2] = second(total.z, acc[2]);
      acc[3] = second(total.w, acc[3]);
      piece(space, n) = {acc[0], acc[1], acc[2], acc[3]};
    }
    part.sum[0] = first(ends.z, part.sum[0]);
    part.sum[1] = second(ends.w, part.sum[1]);
    part.maximum[0] = first.maximum;
    part.maximum[1] = second.maximum;
    piece(space, kPieces) = {part.maximum[0], part.maximum[1], part.sum[0], part.sum[1]};
    any = true;
  }
};

// Partial results of a tile lie by part, KV head and query.
__device__ __forceinline__ int64_t partial_of(const Queries& queries, int n_kv_heads, int split, int query) {
  const int64_t part = static_cast<int64_t>(split) * n_kv_heads + queries.kv_head;
  return queries.item.partial + part * queries.item.n_queries + query;
}

// The queries of a warp, finished: to `out`, or as a partial result.
template <class Tile>
__device__ void store(const AttentionArgs& a, const Queries& queries, const Softmax<Tile>& softmax, int first_row,
                      int first_column) {
  const int lane = lane_id();
  GATTLING_UNROLL
  for (int half = 0; half < 2; ++half) {
    const int query = first_row + lane / 4 + 8 * half;
    if (query >= queries.item.n_queries) continue;
    const bool whole = queries.item.n_splits == 1;
    const int64_t to =
        whole ? queries.place(query, a.out_stride) : partial_of(queries, a.cache.n_kv_heads, queries.item.split, query);
    GATTLING_UNROLL
    for (int n = 0; n < Tile::kColumns / 8; ++n) {
      const int column = first_column + n * 8 + lane % 4 * 2;
      if (column >= queries.head_dim) continue;
      const float x = softmax.acc[n][2 * half], y = softmax.acc[n][2 * half + 1];
      if (whole)
        store_pair(a, to + column, x, y, softmax.sum[half]);
      else
        *reinterpret_cast<float2*>(a.space.sums + to * Tile::kD + column) = make_float2(x, y);
    }
    if (!whole && first_column == 0 && lane % 4 == 0)
      *reinterpret_cast<float2*>(a.space.ends + 2 * to) = make_float2(softmax.maximum[half], softmax.sum[half]);
  }
}

// Whether all parts of the tile are done with this block's. The answer is every thread's, once.
__device__ __forceinline__ bool is_last_part(const AttentionArgs& a, const Queries& queries, uint32_t& answer) {
  __threadfence();  // what this thread stored is seen before the count
  __syncthreads();
  if (threadIdx.x == 0) {
    uint32_t* counter = a.space.counters + queries.item.counter + queries.kv_head;
    const bool last = atomicAdd(counter, 1u) == static_cast<uint32_t>(queries.item.n_splits) - 1;
    if (last) *counter = 0;
    answer = last;
  }
  __syncthreads();
  __threadfence();
  return answer != 0;
}

// Merges the parts of a tile in ascending order and writes its rows of `out`.
template <class Tile>
__device__ void merge_parts(const AttentionArgs& a, const Queries& queries) {
  constexpr int kQuads = Tile::kD / 4;
  for (int i = static_cast<int>(threadIdx.x); i < queries.item.n_queries * kQuads; i += Tile::kThreads) {
    const int query = i / kQuads, column = i % kQuads * 4;
    if (column >= queries.head_dim) continue;
    float maximum = -INFINITY, sum = 0;
    float4 total = {0, 0, 0, 0};
    for (int split = 0; split < queries.item.n_splits; ++split) {
      const int64_t at = partial_of(queries, a.cache.n_kv_heads, split, query);
      const float2 ends = *reinterpret_cast<const float2*>(a.space.ends + 2 * at);
      const float4 part = *reinterpret_cast<const float4*>(a.space.sums + at * Tile::kD + column);
      const Merge merge(maximum, ends.x);
      maximum = merge.maximum;
      sum = merge(sum, ends.y);
      total = {merge(total.x, part.x), merge(total.y, part.y), merge(total.z, part.z), merge(total.w, part.w)};
    }
    const int64_t to = queries.place(query, a.out_stride) + column;
    store_pair(a, to, total.x, total.y, sum);
    store_pair(a, to + 2, total.z, total.w, sum);
  }
}

}  // namespace gattling::cuda
