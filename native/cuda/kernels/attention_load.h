// How an attention tile's queries, keys and values get into shared memory.
#pragma once

#include "cuda/kernels/attention_tile.h"

namespace gattling::cuda {

// The 16-bit type that T is not.
template <typename T>
struct OtherHalf;
template <>
struct OtherHalf<BF16> {
  using Type = F16;
  static constexpr Half kThis = Half::BF16;
};
template <>
struct OtherHalf<F16> {
  using Type = BF16;
  static constexpr Half kThis = Half::F16;
};

template <typename T>
__device__ __forceinline__ uint32_t converted_pair(uint32_t pair) {
  const float2 both = unpack2<typename OtherHalf<T>::Type>(pair);
  return pack2<T>(both.x, both.y);
}

// Which packed queries an item has, of one KV head.
struct Queries {
  int group;
  int kv_head;
  int head_dim;
  AttentionItem item;

  // Where element 0 of packed query i of the tile lies in rows of [.., head_dim].
  __device__ int64_t place(int i, int64_t stride) const {
    const int packed = item.first_query + i;
    return (item.row + packed / group) * stride + (kv_head * group + packed % group) * head_dim;
  }
  __device__ int position(int i) const { return item.position + (item.first_query + i) / group; }
};

// Queries past the item's, and elements past the head's, become zeros.
template <class Tile>
__device__ void load_queries(uint4* to, const AttentionArgs& a, const Queries& queries) {
  using T = typename Tile::T;
  for (int i = static_cast<int>(threadIdx.x); i < Tile::kQueries * Tile::kPieces; i += Tile::kThreads) {
    const int query = i / Tile::kPieces, piece = i % Tile::kPieces;
    uint4 v = make_uint4(0, 0, 0, 0);
    if (query < queries.item.n_queries && piece * 8 < queries.head_dim) {
      const auto* row = static_cast<const uint16_t*>(a.qkv) + queries.place(query, a.qkv_stride);
      v = reinterpret_cast<const uint4*>(row)[piece];
      if (a.half != OtherHalf<T>::kThis)
        v = make_uint4(converted_pair<T>(v.x), converted_pair<T>(v.y), converted_pair<T>(v.z), converted_pair<T>(v.w));
    }
    to[Tile::place(query, piece)] = v;
  }
}

// A sequence's keys of one KV head in the paged cache.
struct Keys {
  const uint16_t* data;  // of the KV head in block 0
  const int32_t* table;
  int64_t to_values;   // elements from a key to its value
  int64_t block_step;  // elements from a block to the next
  uint64_t
      per_block;  // 2^32 over the 16ths of a block, rounded up: a product instead of a division, exact for all ints
  int block_size;
  int head_dim;
  int first, end;  // the item's
};

__device__ __forceinline__ Keys keys_of(const PagedCache& cache, const AttentionItem& item, int kv_head) {
  const int64_t head = static_cast<int64_t>(cache.block_size) * cache.head_dim;
  const uint32_t sixteenths = static_cast<uint32_t>(cache.block_size) / 16;
  return {static_cast<const uint16_t*>(cache.data) + kv_head * head,
          cache.block_tables + static_cast<int64_t>(item.slot) * cache.max_blocks,
          cache.n_kv_heads * head,
          2 * cache.n_kv_heads * head,
          uint64_t{0xffffffffu / sixteenths} + 1,
          cache.block_size,
          cache.head_dim,
          item.first_key,
          item.end_key};
}

// Starts copying the keys and values of a step. What the item does not see, and elements past the head's, become zeros:
// a former owner of a block may have left NaNs there, and 0 * NaN is one.
template <class Tile>
__device__ void start_step(uint4* keys, uint4* values, const Keys& from, int step) {
  GATTLING_UNROLL
  for (int i = 0; i < Tile::kKeys * Tile::kPieces / Tile::kThreads; ++i) {
    const int at = static_cast<int>(threadIdx.x) + i * Tile::kThreads;
    const int row = at / Tile::kPieces, piece = at % Tile::kPieces;
    const int key = step * Tile::kKeys + row;
    const bool seen = key >= from.first && key < from.end && piece * 8 < from.head_dim;
    const uint16_t* source = from.data;
    if (seen) {
      const int index = static_cast<int>(static_cast<uint32_t>(key / 16) * from.per_block >> 32);
      source += from.table[index] * from.block_step +
                static_cast<int64_t>(key - index * from.block_size) * from.head_dim + piece * 8;
    }
    copy_async16(&keys[Tile::place(row, piece)], source, seen ? 16 : 0);
    copy_async16(&values[Tile::place(row, piece)], source + from.to_values, seen ? 16 : 0);
  }
}

}  // namespace gattling::cuda
