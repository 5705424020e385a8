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
  const AttentionItem& item;  // read when needed: registers are short

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
  const PagedCache& cache;
  const uint16_t* data;  // of the KV head in block 0
  const int32_t* table;
  int to_values;     // elements from a key to its value; a block has twice as many
  uint32_t inverse;  // 2^32 / (block_size / 16), rounded up, less 1
  int first, end;    // the item's

  __device__ Keys(const PagedCache& cache, const AttentionItem& item, int kv_head)
      : cache(cache),
        data(static_cast<const uint16_t*>(cache.data) + kv_head * cache.block_size * cache.head_dim),
        table(cache.block_tables + static_cast<int64_t>(item.slot) * cache.max_blocks),
        to_values(cache.n_kv_heads * cache.block_size * cache.head_dim),
        inverse(0xffffffffu / (static_cast<uint32_t>(cache.block_size) / 16)),
        first(item.first_key),
        end(item.end_key) {}

  // A product instead of a division: exact for every key.
  __device__ const uint16_t* find(int key) const {
    const uint32_t sixteenth = static_cast<uint32_t>(key) / 16;
    const int index = static_cast<int>((static_cast<uint64_t>(sixteenth) * inverse + sixteenth) >> 32);
    return data + static_cast<int64_t>(table[index]) * (2 * to_values) +
           (key - index * cache.block_size) * cache.head_dim;
  }
};

// Starts copying the keys and values of a step. What the item does not see, and elements past the head's, become zeros:
// a former owner of a block may have left NaNs there, and 0 * NaN is one.
template <class Tile>
__device__ __forceinline__ void start_step(uint4* keys, uint4* values, const Keys& from, int step) {
  constexpr int kRows = Tile::kThreads / Tile::kPieces;  // copied at once
  constexpr int kTimes = Tile::kKeys / kRows;
  const int row = static_cast<int>(threadIdx.x) / Tile::kPieces, piece = static_cast<int>(threadIdx.x) % Tile::kPieces;
  const uint16_t* sources[kTimes];  // found before the first copy, so that the table is waited for once
  GATTLING_UNROLL
  for (int i = 0; i < kTimes; ++i) {
    const int key = step * Tile::kKeys + row + i * kRows;
    const bool seen = key >= from.first && key < from.end && piece * 8 < from.cache.head_dim;
    sources[i] = seen ? from.find(key) + piece * 8 : nullptr;
  }
  GATTLING_UNROLL
  for (int i = 0; i < kTimes; ++i) {
    const int place = Tile::place(row + i * kRows, piece), filled = sources[i] != nullptr ? 16 : 0;
    const uint16_t* source = sources[i] != nullptr ? sources[i] : from.data;
    copy_async16(&keys[place], source, filled);
    copy_async16(&values[place], source + from.to_values, filled);
  }
}

}  // namespace gattling::cuda
