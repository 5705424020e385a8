#include "cpu/pack.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "backend/error.h"
#include "backend/half.h"

namespace gattling::cpu {
namespace {

// Rows [first, first + count) of a stored matrix.
struct RowRange {
  const HostTensor* tensor;
  int64_t first;
  int64_t count;
};

// The matrix to pack: row ranges below each other, columns [first_col, first_col + k) of each.
struct Source {
  std::vector<RowRange> rows;
  int64_t row_size = 0;  // of the stored matrices
  int64_t first_col = 0;
  int64_t n = 0;
  int64_t k = 0;
};

const char* name_of(Use use) {
  constexpr std::array<const char*, 7> names = {"embedding",   "norm", "qkv", "attention output",
                                                "gate and up", "down", "head"};
  return names[static_cast<size_t>(use)];
}

bool split_by_columns(Use use) {
  return use == Use::AttnOut || use == Use::Down;
}

bool split_by_rows(Use use) {
  return use == Use::Qkv || use == Use::GateUp;
}

// Matrices that a use takes before its biases.
size_t matrices_of(Use use) {
  return use == Use::Qkv ? 3 : use == Use::GateUp ? 2 : 1;
}

int64_t share(int64_t extent, Shard shard, const HostTensor& tensor) {
  check(extent % shard.world == 0, "Tensor ", tensor.name, " has ", extent, " rows or columns to split, which ",
        shard.world, " ranks do not divide; use a number of ranks that does.");
  return extent / shard.world;
}

void check_parts(Use use, std::span<const HostTensor> parts, Shard shard) {
  const size_t n = matrices_of(use);
  const bool may_have_bias = use == Use::Qkv || use == Use::AttnOut;
  check(parts.size() == n || (may_have_bias && parts.size() == 2 * n), "A ", name_of(use), " weight takes ", n,
        " tensors", may_have_bias ? " or as many and their biases" : "", ", not ", parts.size(), ".");
  check(shard.world >= 1 && shard.rank >= 0 && shard.rank < shard.world, "Rank ", shard.rank, " of ", shard.world,
        " is not a rank; it is at least 0 and below the number of ranks.");
  for (size_t i = 0; i < parts.size(); ++i) {
    const size_t rank = use == Use::Norm || i >= n ? 1 : 2;
    check(parts[i].shape.size() == rank && parts[i].size() > 0, "Tensor ", parts[i].name, " of a ", name_of(use),
          " weight has ", parts[i].shape.size(), " dimensions or none of size; it has ", rank, ".");
    if (i < n)
      check(rank == 1 || parts[i].shape[1] == parts[0].shape[1], "Tensor ", parts[i].name, " takes ",
            parts[i].shape.back(), " inputs; it takes ", parts[0].shape.back(), " like ", parts[0].name, ".");
    else
      check(parts[i].shape[0] == parts[i - n].shape[0], "Bias ", parts[i].name, " has ", parts[i].shape[0],
            " elements; it has ", parts[i - n].shape[0], " like the outputs of ", parts[i - n].name, ".");
  }
}

Source source_of(Use use, std::span<const HostTensor> parts, Shard shard) {
  Source source;
  if (use == Use::Norm) {
    const int64_t size = parts[0].size();
    return {{{&parts[0], 0, 1}}, size, 0, 1, size};
  }
  source.k = source.row_size = parts[0].shape[1];
  if (split_by_columns(use)) {
    source.k = share(source.k, shard, parts[0]);
    source.first_col = source.k * shard.rank;
  }
  for (const HostTensor& part : parts.first(matrices_of(use))) {
    const int64_t count = split_by_rows(use) ? share(part.shape[0], shard, part) : part.shape[0];
    source.rows.push_back({&part, split_by_rows(use) ? count * shard.rank : 0, count});
    source.n += count;
  }
  return source;
}

template <typename From, typename To>
void convert_run(const std::byte* from, int64_t n, To* to) {
  if constexpr (std::is_same_v<From, To>) {
    std::memcpy(to, from, static_cast<size_t>(n) * sizeof(To));
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    From value;
    std::memcpy(&value, from + static_cast<size_t>(i) * sizeof(From), sizeof(From));
    narrow(widen(value), to[i]);
  }
}

// n elements from index `first` on.
template <typename To>
void convert(const HostTensor& tensor, int64_t first, int64_t n, To* to) {
  const std::byte* from = tensor.data + static_cast<size_t>(first) * size_of(tensor.dtype);
  if (tensor.dtype == DType::F32)
    convert_run<float>(from, n, to);
  else if (tensor.dtype == DType::BF16)
    convert_run<bf16>(from, n, to);
  else
    convert_run<f16>(from, n, to);
}

// Columns [col, col + n) of row `row` of the source.
template <typename To>
void read_source(const Source& source, int64_t row, int64_t col, int64_t n, To* to) {
  for (const RowRange& range : source.rows) {
    if (row < range.count) {
      convert(*range.tensor, (range.first + row) * source.row_size + source.first_col + col, n, to);
      return;
    }
    row -= range.count;
  }
}

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

// A bias that is split by rows goes along; one of a sum over ranks is added by the first rank.
void pack_biases(std::span<const HostTensor> parts, const Source& source, Shard shard, CpuWeight& weight) {
  const size_t n = matrices_of(weight.use);
  if (parts.size() == n || (split_by_columns(weight.use) && shard.rank != 0)) return;
  weight.bias.resize(static_cast<size_t>(weight.n));
  float* to = weight.bias.data();
  for (size_t i = 0; i < n; ++i) {
    convert(parts[n + i], source.rows[i].first, source.rows[i].count, to);
    to += source.rows[i].count;
  }
}

// Fp32 arithmetic reads any stored type exactly.
DType stored_type(Use use, std::span<const HostTensor> parts, DType compute) {
  if (use == Use::Norm) return DType::F32;
  if (compute != DType::F32) return compute;
  for (const HostTensor& part : parts.first(matrices_of(use)))
    if (part.dtype != parts[0].dtype) return DType::F32;
  return parts[0].dtype;
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
  check_parts(use, parts, shard);
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
  pack_biases(parts, source, shard, *weight);
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
