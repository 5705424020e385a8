#include "cpu/pack.h"

#include <algorithm>
#include <cstring>

#include "backend/parts.h"

namespace gattling::cpu {
namespace {

// Transposes 16 rows into lines of 16 items; an item is what stays together, a pair of bf16 or one element.
template <size_t kItem>
void store_lines(const void* rows, size_t n_items, size_t row_items, void* lines) {
  const auto* from = static_cast<const std::byte*>(rows);
  auto* to = static_cast<std::byte*>(lines);
  for (size_t i = 0; i < n_items; ++i)
    for (size_t lane = 0; lane < kTileOutputs; ++lane, to += kItem)
      std::memcpy(to, from + (lane * row_items + i) * kItem, kItem);
}

template <typename To>
void pack_tile(const Source& source, int64_t tile, To* out) {
  constexpr int64_t kRun = 256;  // columns at a time: 16 rows of them stay in the first-level cache
  alignas(64) To rows[kTileOutputs * kRun];
  for (int64_t col = 0; col < source.k; col += kRun) {
    const int64_t n = std::min(kRun, source.k - col);
    const int64_t padded = std::min(kRun, (n + kTileDepth - 1) / kTileDepth * kTileDepth);
    for (int64_t lane = 0; lane < kTileOutputs; ++lane) {
      To* row = rows + lane * kRun;
      const int64_t from = tile * kTileOutputs + lane;
      const int64_t filled = from < source.n ? n : 0;
      if (filled > 0) read_source(source, from, col, n, row);
      std::fill(row + filled, row + padded, To{});
    }
    constexpr int64_t group = std::is_same_v<To, bf16> ? 2 : 1;
    store_lines<sizeof(To) * group>(rows, static_cast<size_t>(padded / group), kRun / group, out + col * kTileOutputs);
  }
}

template <typename To>
void pack_tiles(const Source& source, CpuWeight& weight, ThreadPool& pool) {
  weight.data = Memory(static_cast<size_t>(weight.n_tiles() * weight.tile_size()) * sizeof(To));
  To* out = reinterpret_cast<To*>(weight.data.data());
  pool.parallel(weight.n_tiles(), [&](int64_t begin, int64_t end, int) {
    for (int64_t tile = begin; tile < end; ++tile) pack_tile(source, tile, out + tile * weight.tile_size());
  });
}

template <typename To>
void pack_rows(const Source& source, CpuWeight& weight, ThreadPool& pool) {
  weight.data = Memory(static_cast<size_t>(weight.n * weight.k) * sizeof(To));
  To* out = reinterpret_cast<To*>(weight.data.data());
  pool.parallel(weight.n, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) read_source(source, row, 0, source.k, out + row * source.k);
  });
}

template <typename To>
void pack_as(const Source& source, CpuWeight& weight, ThreadPool& pool) {
  if (weight.layout == CpuWeight::Layout::Rows)
    pack_rows<To>(source, weight, pool);
  else
    pack_tiles<To>(source, weight, pool);
}

template <typename T>
void read_row_as(const CpuWeight& weight, int64_t row, float* out) {
  const T* data = reinterpret_cast<const T*>(weight.data.data());
  if (weight.layout == CpuWeight::Layout::Rows) {
    for (int64_t i = 0; i < weight.k; ++i) out[i] = widen(data[row * weight.k + i]);
    return;
  }
  constexpr int64_t group = std::is_same_v<T, bf16> ? 2 : 1;
  const T* lane = data + row / kTileOutputs * weight.tile_size() + row % kTileOutputs * group;
  for (int64_t i = 0; i < weight.k; ++i) out[i] = widen(lane[i / group * group * kTileOutputs + i % group]);
}

}  // namespace

std::unique_ptr<CpuWeight> pack_weight(Use use, std::span<const HostTensor> parts, Shard shard, DType compute,
                                       ThreadPool& pool) {
  auto weight = std::make_unique<CpuWeight>();
  const Source source = source_of(use, parts, shard);
  weight->use = use;
  weight->layout = use == Use::Norm || use == Use::Embedding ? CpuWeight::Layout::Rows : CpuWeight::Layout::Tiles;
  weight->dtype = stored_type(use, parts, compute);
  weight->n = source.n;
  weight->k = source.k;
  if (weight->dtype == DType::F32)
    pack_as<float>(source, *weight, pool);
  else if (weight->dtype == DType::BF16)
    pack_as<bf16>(source, *weight, pool);
  else
    pack_as<f16>(source, *weight, pool);
  weight->bias = read_biases(use, parts, source, shard);
  return weight;
}

void read_row(const CpuWeight& weight, int64_t row, float* out) {
  if (weight.dtype == DType::F32)
    read_row_as<float>(weight, row, out);
  else if (weight.dtype == DType::BF16)
    read_row_as<bf16>(weight, row, out);
  else
    read_row_as<f16>(weight, row, out);
}

}  // namespace gattling::cpu
