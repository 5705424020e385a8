#include "cpu/pack.h"

#include <algorithm>
#include <cstring>

#include "backend/parts.h"
#include "backend/quantised.h"
#include "cpu/pack_ints.h"

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
void pack_tiles(const Source& source, Section& section, ThreadPool& pool) {
  section.data = Memory(static_cast<size_t>(section.n_tiles() * section.tile_size()) * sizeof(To));
  To* out = reinterpret_cast<To*>(section.data.data());
  pool.parallel(section.n_tiles(), [&](int64_t begin, int64_t end, int) {
    for (int64_t tile = begin; tile < end; ++tile) pack_tile(source, tile, out + tile * section.tile_size());
  });
}

template <typename To>
void pack_rows(const Source& source, Section& section, ThreadPool& pool) {
  section.data = Memory(static_cast<size_t>(section.n * section.k) * sizeof(To));
  To* out = reinterpret_cast<To*>(section.data.data());
  pool.parallel(section.n, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) read_source(source, row, 0, source.k, out + row * source.k);
  });
}

template <typename To>
void pack_as(const Source& source, Section& section, ThreadPool& pool) {
  if (section.layout == Section::Layout::Rows)
    pack_rows<To>(source, section, pool);
  else
    pack_tiles<To>(source, section, pool);
}

void pack_plain(const Source& source, Section& section, ThreadPool& pool) {
  if (section.dtype == DType::F32)
    pack_as<float>(source, section, pool);
  else if (section.dtype == DType::BF16)
    pack_as<bf16>(source, section, pool);
  else
    pack_as<f16>(source, section, pool);
}

template <typename T>
void read_row_as(const Section& section, int64_t row, float* out) {
  const T* data = reinterpret_cast<const T*>(section.data.data());
  if (section.layout == Section::Layout::Rows) {
    for (int64_t i = 0; i < section.k; ++i) out[i] = widen(data[row * section.k + i]);
    return;
  }
  constexpr int64_t group = std::is_same_v<T, bf16> ? 2 : 1;
  const T* lane = data + row / kTileOutputs * section.tile_size() + row % kTileOutputs * group;
  for (int64_t i = 0; i < section.k; ++i) out[i] = widen(lane[i / group * group * kTileOutputs + i % group]);
}

bool lie_together(const RowRange& a, const RowRange& b) {
  const Quantised *x = a.tensor->quantised, *y = b.tensor->quantised;
  return x && y ? quantised_alike(*x, *y) : !x && !y;
}

// The source cut where parts cannot lie in one section.
std::vector<Source> cut(const Source& source) {
  std::vector<Source> cuts;
  for (const RowRange& range : source.rows) {
    if (cuts.empty() || !lie_together(cuts.back().rows[0], range)) {
      cuts.push_back(source);
      cuts.back().rows.clear();
      cuts.back().n = 0;
    }
    cuts.back().rows.push_back(range);
    cuts.back().n += range.count;
  }
  return cuts;
}

bool take_the_same(const IntForm& a, const IntForm& b) {
  return a.bits == b.bits && a.step() == b.step() && a.order == b.order;
}

// The first of the sections, or the next one, that takes x as `section` does.
size_t input_of(const Section& section, const std::vector<Section>& sections) {
  for (size_t i = 0; i < sections.size(); ++i)
    if (sections[i].layout == section.layout && take_the_same(sections[i].ints, section.ints)) return i;
  return sections.size();
}

}  // namespace

size_t CpuWeight::bytes() const {
  size_t bytes = bias.size() * sizeof(float);
  for (const Section& section : sections) bytes += section.data.bytes() + section.ints.order.size() * sizeof(int32_t);
  return bytes;
}

std::unique_ptr<CpuWeight> pack_weight(Use use, std::span<const HostTensor> parts, Shard shard, DType compute,
                                       ThreadPool& pool) {
  auto weight = std::make_unique<CpuWeight>();
  const Source source = source_of(use, parts, shard);
  weight->use = use;
  weight->n = source.n;
  weight->k = source.k;
  const bool rows = use == Use::Norm || use == Use::Embedding;
  int64_t first = 0;
  for (const Source& part : cut(source)) {
    Section section;
    section.first = first;
    section.n = part.n;
    section.k = part.k;
    first += part.n;
    if (part.rows[0].tensor->quantised) {
      pack_ints(part, section, pool);
    } else {
      section.layout = rows ? Section::Layout::Rows : Section::Layout::Tiles;
      section.dtype = stored_type(use, parts, compute);
      pack_plain(part, section, pool);
    }
    section.input = input_of(section, weight->sections);
    weight->sections.push_back(std::move(section));
  }
  weight->bias = read_biases(use, parts, source, shard);
  return weight;
}

void read_row(const CpuWeight& weight, int64_t row, float* out) {
  const Section* section = weight.sections.data();
  while (row >= section->first + section->n) ++section;
  row -= section->first;
  if (section->layout == Section::Layout::Ints)
    read_int_row(*section, row, out);
  else if (section->dtype == DType::F32)
    read_row_as<float>(*section, row, out);
  else if (section->dtype == DType::BF16)
    read_row_as<bf16>(*section, row, out);
  else
    read_row_as<f16>(*section, row, out);
}

}  // namespace gattling::cpu
