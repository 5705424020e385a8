#include "backend/parts.h"

#include <array>
#include <cstring>

#include "backend/error.h"
#include "backend/quantised.h"

namespace gattling {
namespace {

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
    if (parts[i].quantised) check_quantised(parts[i]);
    const size_t rank = use == Use::Norm || i >= n ? 1 : 2;
    check(parts[i].shape.size() == rank && parts[i].size() > 0, "Tensor ", parts[i].name, " of a ", name_of(use),
          " weight has ", parts[i].shape.size(), " dimensions or none of size; it has ", rank, ".");
    const int64_t head = parts[i].paired_head;
    check(head >= 0 && head % 2 == 0 && (head == 0 || parts[i].shape[0] % head == 0), "Tensor ", parts[i].name, " has ",
          parts[i].shape[0], " rows of heads of ", head, "; the head size is even and divides them.");
    if (i < n)
      check(rank == 1 || parts[i].shape[1] == parts[0].shape[1], "Tensor ", parts[i].name, " takes ",
            parts[i].shape.back(), " inputs; it takes ", parts[0].shape.back(), " like ", parts[0].name, ".");
    else
      check(parts[i].shape[0] == parts[i - n].shape[0], "Bias ", parts[i].name, " has ", parts[i].shape[0],
            " elements; it has ", parts[i - n].shape[0], " like the outputs of ", parts[i - n].name, ".");
  }
}

// A rank's columns of a quantised matrix are whole groups, in the order in which they are stored.
void check_columns(const HostTensor& tensor, Shard shard, int64_t k) {
  if (!tensor.quantised || shard.world == 1) return;
  check(tensor.quantised->order().empty(), "Tensor ", tensor.name,
        " is quantised in an order of its own (act-order), which ranks cannot cut; use one rank.");
  check(k % tensor.quantised->group() == 0, "Tensor ", tensor.name, " has groups of ", tensor.quantised->group(),
        " columns, which a rank's ", k, " cut; use fewer ranks.");
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

// Columns of the model's row `row` of a tensor whose rows have `k`.
template <typename To>
void read_stored(const HostTensor& tensor, int64_t k, int64_t row, int64_t col, int64_t n, To* to) {
  const int64_t at = tensor.stored_row(row);
  if (!tensor.quantised) {
    convert(tensor, at * k + col, n, to);
    return;
  }
  std::vector<float> plain(static_cast<size_t>(n));
  dequantise(*tensor.quantised, k, at, col, n, plain.data());
  for (int64_t i = 0; i < n; ++i) narrow(plain[static_cast<size_t>(i)], to[i]);
}

template <typename To>
void read(const Source& source, int64_t row, int64_t col, int64_t n, To* to) {
  for (const RowRange& range : source.rows) {
    if (row < range.count) {
      read_stored(*range.tensor, source.row_size, range.first + row, source.first_col + col, n, to);
      return;
    }
    row -= range.count;
  }
}

}  // namespace

Source source_of(Use use, std::span<const HostTensor> parts, Shard shard) {
  check_parts(use, parts, shard);
  Source source;
  if (use == Use::Norm) {
    const int64_t size = parts[0].size();
    return {{{&parts[0], 0, 1}}, size, 0, 1, size};
  }
  source.k = source.row_size = parts[0].shape[1];
  if (split_by_columns(use)) {
    source.k = share(source.k, shard, parts[0]);
    check_columns(parts[0], shard, source.k);
    source.first_col = source.k * shard.rank;
  }
  for (const HostTensor& part : parts.first(matrices_of(use))) {
    const int64_t count = split_by_rows(use) ? share(part.shape[0], shard, part) : part.shape[0];
    source.rows.push_back({&part, split_by_rows(use) ? count * shard.rank : 0, count});
    source.n += count;
  }
  return source;
}

void read_columns(const HostTensor& tensor, int64_t row, int64_t col, int64_t n, float* to) {
  read_stored(tensor, tensor.shape.back(), row, col, n, to);
}

void read_source(const Source& source, int64_t row, int64_t col, int64_t n, float* to) {
  read(source, row, col, n, to);
}
void read_source(const Source& source, int64_t row, int64_t col, int64_t n, bf16* to) {
  read(source, row, col, n, to);
}
void read_source(const Source& source, int64_t row, int64_t col, int64_t n, f16* to) {
  read(source, row, col, n, to);
}

DType stored_type(Use use, std::span<const HostTensor> parts, DType compute) {
  if (use == Use::Norm) return DType::F32;
  if (compute != DType::F32) return compute;
  for (const HostTensor& part : parts.first(matrices_of(use)))
    if (part.dtype != parts[0].dtype) return DType::F32;
  return parts[0].dtype;
}

std::vector<float> read_biases(Use use, std::span<const HostTensor> parts, const Source& source, Shard shard) {
  const size_t n = matrices_of(use);
  std::vector<float> biases;
  if (parts.size() == n || (split_by_columns(use) && shard.rank != 0)) return biases;
  biases.resize(static_cast<size_t>(source.n));
  float* to = biases.data();
  for (size_t i = 0; i < n; ++i)
    for (int64_t row = 0; row < source.rows[i].count; ++row)
      convert(parts[n + i], parts[n + i].stored_row(source.rows[i].first + row), 1, to++);
  return biases;
}

}  // namespace gattling
