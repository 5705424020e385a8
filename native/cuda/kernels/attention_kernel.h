// The attention kernel of either tile: persistent blocks that take items from the work list.
#pragma once

#include "cuda/kernels/attention_merge.h"

namespace gattling::cuda {

// Which keys a lane's two rows see, and the rows of its warp: (position - window, position].
struct Sight {
  int positions[2];
  int first, last;  // positions of the warp's rows
  int window;
  bool any;  // the warp has queries

  __device__ Sight(const Queries& queries, int first_row, int window)
      : window(window > 0 ? window : 1 << 30), any(first_row < queries.item.n_queries) {
    const int last_row = min(first_row + 15, queries.item.n_queries - 1);
    for (int half = 0; half < 2; ++half)
      positions[half] = queries.position(min(first_row + lane_id() / 4 + 8 * half, last_row));
    first = queries.position(first_row);
    last = queries.position(last_row);
  }

  // Of keys [key, key + n): whether any row of the warp sees any, and every row all.
  __device__ bool sees_any(int key, int n) const { return any && key <= last && key + n > first - window + 1; }
  __device__ bool sees_all(int key, int n) const { return key > last - window && key + n - 1 <= first; }
};

// Scores of keys that a row does not see become -inf, whatever they are.
template <class Tile>
__device__ __forceinline__ void hide(float (&scores)[Tile::kKeys / 8][4], const Sight& sight, int first_key) {
  GATTLING_UNROLL
  for (int n = 0; n < Tile::kKeys / 8; ++n) {
    GATTLING_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int ahead = first_key + n * 8 + lane_id() % 4 * 2 + i % 2 - sight.positions[i / 2];
      scores[n][i] = ahead <= 0 && ahead > -sight.window ? scores[n][i] : -INFINITY;
    }
  }
}

template <class Tile>
__device__ void run_item(const AttentionArgs& a, const Queries& queries, float scale, int merge_keys) {
  auto& s = shared<typename Tile::Layout>();
  const AttentionItem& item = queries.item;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int first_row = warp % Tile::kRowWarps * 16, first_column = warp / Tile::kRowWarps * Tile::kColumns;
  const Keys keys(a.cache, item, queries.kv_head);
  const Sight sight(queries, first_row, a.window);
  const int first_step = item.first_key / Tile::kKeys, end_step = (item.end_key + Tile::kKeys - 1) / Tile::kKeys;

  const auto start = [&](int step) {
    const int stage = (step - first_step) % Tile::kStages;
    if (step < end_step) start_step<Tile>(s.keys[stage], s.values[stage], keys, step);
    copy_commit();
  };
  for (int i = 0; i < Tile::kStages - 1; ++i) start(first_step + i);
  load_queries<Tile>(s.queries, a, queries);
  Softmax<Tile> softmax;
  softmax.clear();
  Total<Tile> total;
  for (int step = first_step; step < end_step; ++step) {
    start(step + Tile::kStages - 1);
    copy_wait<Tile::kStages - 1>();
    __syncthreads();
    const int stage = (step - first_step) % Tile::kStages, first_key = step * Tile::kKeys;
    // A step that no row sees would change nothing.
    if (sight.sees_any(first_key, Tile::kKeys)) {
      float scores[Tile::kKeys / 8][4];
      multiply_keys<Tile>(scores, s.queries, first_row, s.keys[stage]);
      if (!sight.sees_all(first_key, Tile::kKeys)) hide<Tile>(scores, sight, first_key);
      softmax.add(scores, scale);
      multiply_values<Tile>(softmax.acc, scores, s.values[stage], first_column);
    }
    __syncthreads();
    const bool border = (first_key + Tile::kKeys) % merge_keys == 0;
    if (border && step + 1 < end_step && sight.any) {
      total.add(softmax, a.space);
      softmax.clear();
    }
  }
  if (total.any)
    total.add(softmax, a.space);
  else
    softmax.finish();
  if (sight.any) store<Tile>(a, queries, softmax, first_row, first_column);
}

template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks) attention_kernel(AttentionArgs a, float scale) {
  const AttentionWork& work = *a.work;
  const auto* items = reinterpret_cast<const AttentionItem*>(&work + 1) + (Tile::kPrefill ? work.n_items[0] : 0);
  const int n_kv_heads = a.cache.n_kv_heads;
  const int n = work.n_items[Tile::kPrefill ? 1 : 0] * n_kv_heads;
  for (int i = static_cast<int>(blockIdx.x); i < n; i += static_cast<int>(gridDim.x)) {
    const Queries queries = {a.n_heads / n_kv_heads, i % n_kv_heads, a.cache.head_dim, items[i / n_kv_heads]};
    run_item<Tile>(a, queries, scale, work.merge_keys);
    if (queries.item.n_splits == 1) continue;
    if (is_last_part(a, queries, shared<typename Tile::Layout>().is_last)) merge_parts<Tile>(a, queries);
  }
}

template <typename T, AttentionTile kKind, int kDim>
void launch_attention(const AttentionArgs& args, Stream& stream) {
  constexpr float kLog2E = 1.44269504f;
  const float scale = kLog2E / sqrtf(static_cast<float>(args.cache.head_dim));
  launch(attention_kernel<Tile<T, kKind, kDim>>, Dim(static_cast<unsigned>(args.space.n_blocks)),
         Dim(attention_threads(kKind, kDim)), attention_shared_bytes(kKind, kDim), stream, args, scale);
}

template <AttentionTile kKind, typename T>
void launch_attention_of_type(const AttentionArgs& args, Stream& stream) {
  switch (attention_dim(args.cache.head_dim)) {
    case 64:
      return launch_attention<T, kKind, 64>(args, stream);
    case 128:
      return launch_attention<T, kKind, 128>(args, stream);
    default:
      return launch_attention<T, kKind, 256>(args, stream);
  }
}

template <AttentionTile kKind>
void launch_attention_tiles(const AttentionArgs& args, Stream& stream) {
  if (args.cache.half == Half::BF16)
    launch_attention_of_type<kKind, BF16>(args, stream);
  else
    launch_attention_of_type<kKind, F16>(args, stream);
}

}  // namespace gattling::cuda
