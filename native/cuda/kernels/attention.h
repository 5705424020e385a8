// Attention of a mixed batch over the paged cache: softmax(q k^T / sqrt(D)) v, causal, the query heads of a group
// sharing a KV head, with an optional sliding window.
//
// The queries of a slice that share a KV head are packed: packed query i is head i % group of the group, of the slice's
// row i / group. A tile is up to 16 (decode) or 64 or 128 (prefill) consecutive ones, which walk a range of keys
// together, so that a key is read once for all of them. Both kernels take their tiles from a list in device memory
// (attention_plan.h makes it) and have a fixed grid, so that a launch can be replayed for another step.
//
// A query's arithmetic is the same in every tile: keys in steps at absolute positions, and a step that a query does not
// see changes nothing of it. Where its keys are cut is the list's: the parts are merged in ascending order. With cuts
// at absolute positions (AttentionWork::merge_keys) a row's bits depend on its sequence only; without, also on what
// else is in the step.
#pragma once

#include "cuda/kernels/common.h"

namespace gattling::cuda {

constexpr int kMaxHeadDim = 256;
constexpr int kMaxGroup = 64;

// Head sizes that kernels are compiled for; others are padded with zeros into the next.
constexpr int attention_dim(int head_dim) {
  return head_dim <= 64 ? 64 : head_dim <= 128 ? 128 : 256;
}

// Keys of a step. Fewer at 256, where the accumulators leave fewer registers to the scores.
constexpr int attention_keys(int dim) {
  return dim == 256 ? 32 : 64;
}

// Steps whose keys and values are in shared memory at once: one is worked on while the next arrives.
constexpr int kAttentionStages = 2;

enum class AttentionTile : uint8_t { Decode, Prefill };

// Packed queries of a tile. Prefill's are what makes keys from the second-level cache suffice for the tensor cores: as
// many operations for each byte. 128 at 256 would not keep within the 99 KiB that every device has, and at 64 three
// small blocks hide more than one large one.
constexpr int attention_queries(AttentionTile tile, int dim) {
  return tile == AttentionTile::Decode ? 16 : dim == 128 ? 128 : 64;
}

// A warp has 16 queries of a prefill tile, and a quarter of the columns of a decode tile.
constexpr int attention_threads(AttentionTile tile, int dim) {
  return tile == AttentionTile::Decode ? 128 : attention_queries(tile, dim) * 2;
}

constexpr size_t attention_shared_bytes(AttentionTile tile, int dim) {
  const int rows = attention_queries(tile, dim) + 2 * kAttentionStages * attention_keys(dim);
  return static_cast<size_t>(rows) * static_cast<size_t>(dim) * 2 + 128;
}

// Blocks that a processor of at least 164 KiB shared memory runs at once; registers are compiled to allow it.
constexpr int attention_blocks(AttentionTile tile, int dim) {
  if (tile == AttentionTile::Decode) return dim == 64 ? 4 : 3;
  return dim == 64 ? 3 : dim == 128 ? 1 : 2;
}

// What a block remembers of a tile across borders: its result, and for each thread two maxima and two sums.
constexpr int attention_totals(AttentionTile tile, int dim) {
  return attention_queries(tile, dim) * dim + attention_threads(tile, dim) * 4;
}

// A tile and the keys that it walks; every KV head does it. 48 bytes.
struct AttentionItem {
  int32_t slot;
  int32_t row;          // of the step: the slice's first
  int32_t position;     // of that row
  int32_t first_query;  // packed, within the slice
  int32_t n_queries;
  int32_t first_key;  // nothing outside [first_key, end_key) is read
  int32_t end_key;
  int32_t split;  // which of the tile's parts this is
  int32_t n_splits;
  int32_t partial;  // its tile's first partial result
  int32_t counter;  // its tile's first counter
  int32_t unused;
};

// Behind it lie the items: those of decode, then those of prefill.
struct AttentionWork {
  int32_t n_items[2];  // by AttentionTile
  int32_t merge_keys;  // a tile that crosses a multiple of this merges what it has there
  int32_t unused;
};

// What a kernel works with besides; zeros before the first launch.
struct AttentionSpace {
  int n_blocks;        // the grid
  float* sums;         // [partials, attention_dim(D)]
  float* ends;         // [partials, 2]: the maximum (of scores in powers of 2) and the sum of weights
  uint32_t* counters;  // [split tiles * n_kv_heads] parts that are done; a launch leaves zeros
  float* totals;       // [n_blocks, attention_totals()]
};

struct AttentionArgs {
  const void* qkv;  // [rows, qkv_stride]: q is read, [Hq, D] of each row
  int64_t qkv_stride;
  void* out;  // [rows, out_stride]: [Hq, D]
  int64_t out_stride;
  Half half;  // of qkv and out
  PagedCache cache;
  int n_heads;
  int window;  // a query at p sees keys in (p - window, p]; 0: all up to p
  const AttentionWork* work;
  AttentionSpace space;  // that of the kernel
};

// The two write to rows of their own and may run in either order, or at once.
void attention_decode(const AttentionArgs& args, Stream& stream);
void attention_prefill(const AttentionArgs& args, Stream& stream);

}  // namespace gattling::cuda
