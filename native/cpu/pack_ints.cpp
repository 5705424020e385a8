#include "cpu/pack_ints.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "backend/half.h"
#include "backend/quantised.h"

namespace gattling::cpu {
namespace {

constexpr int64_t kRun = 256;  // columns read at a time: 16 rows of them stay in the first-level cache
constexpr int64_t kLine = 64;
constexpr int64_t kItem = 4;  // bytes of one output in a line

int64_t n_groups(const Section& section) {
  return (section.depth() + section.ints.group - 1) / section.ints.group;
}

int64_t columns_of_item(const IntForm& form) {
  return kItem * 8 / form.bits;
}

// What fp16 could not hold of the scales and offsets packed so far.
struct Lost {
  std::atomic<bool> scale{false}, offset{false};
};

// Writes [16] numbers of one group; false when fp16 does not hold them.
bool store_plane(const float* values, DType type, std::byte* to) {
  bool whole = true;
  for (int64_t lane = 0; lane < kTileOutputs; ++lane) {
    if (type == DType::F32) {
      std::memcpy(to + lane * 4, &values[lane], 4);
      continue;
    }
    f16 half;
    narrow(values[lane], half);
    std::memcpy(to + lane * 2, &half, 2);
    whole &= fits_half(values[lane]);
  }
  return whole;
}

// The integers of a row's columns [col, col + n) as items of four bytes, one for each line of a tile.
void make_items(const IntForm& form, const int8_t* q, int64_t n, uint8_t* items) {
  if (form.bits == 8) {
    for (int64_t i = 0; i < n; ++i) items[i] = static_cast<uint8_t>(q[i] + 128);
    return;
  }
  for (int64_t i = 0; i < n; i += 8)
    for (int64_t j = 0; j < 4; ++j)
      items[i / 2 + j] = static_cast<uint8_t>((q[i + j] + 8) & 15) | static_cast<uint8_t>((q[i + j + 4] + 8) << 4);
}

class Packer {
 public:
  Packer(const Source& source, const Section& section, Lost& lost)
      : source_(source),
        section_(section),
        form_(section.ints),
        lost_(lost),
        group_(source.rows[0].tensor->quantised->group()),
        groups_(std::max<int64_t>(1, kRun / group_)),
        q_(static_cast<size_t>((groups_ * group_ + kTileDepth - 1) / kTileDepth * kTileDepth)),
        items_(static_cast<size_t>(kTileOutputs) * q_.size()),
        lane_scales_(static_cast<size_t>(groups_)),
        lane_offsets_(lane_scales_.size()),
        scales_(static_cast<size_t>(kTileOutputs * groups_)),
        offsets_(scales_.size()) {}

  void pack_tile(int64_t tile, std::byte* to) {
    const int64_t n_read = (source_.k + group_ - 1) / group_;
    for (int64_t group = 0; group < n_read; group += groups_) {
      const int64_t count = std::min(groups_, n_read - group);
      std::fill(items_.begin(), items_.end(), uint8_t{0});
      std::fill(scales_.begin(), scales_.end(), 0.0f);
      std::fill(offsets_.begin(), offsets_.end(), 0.0f);
      const int64_t rows = std::min(kTileOutputs, section_.n - tile * kTileOutputs);
      for (int64_t lane = 0; lane < rows; ++lane) read_lane(tile * kTileOutputs + lane, lane, group, count);
      write(to, group, count);
    }
  }

 private:
  int64_t item_bytes() const { return static_cast<int64_t>(q_.size()) * form_.bits / 8; }  // of a lane

  void read_lane(int64_t row, int64_t lane, int64_t group, int64_t count) {
    const RowRange* range = source_.rows.data();
    for (; row >= range->count; ++range) row -= range->count;
    const HostTensor& tensor = *range->tensor;
    std::fill(q_.begin(), q_.end(), int8_t{0});
    tensor.quantised->read(tensor.stored_row(range->first + row), source_.first_col / group_ + group, count, q_.data(),
                           lane_scales_.data(), lane_offsets_.data());
    make_items(form_, q_.data(), static_cast<int64_t>(q_.size()), &items_[static_cast<size_t>(lane * item_bytes())]);
    for (int64_t i = 0; i < count; ++i) {
      scales_[static_cast<size_t>(i * kTileOutputs + lane)] = lane_scales_[static_cast<size_t>(i)];
      offsets_[static_cast<size_t>(i * kTileOutputs + lane)] = lane_offsets_[static_cast<size_t>(i)];
    }
  }

  void write(std::byte* to, int64_t group, int64_t count) const {
    const int64_t columns = std::min(count * group_, section_.depth() - group * group_);
    const int64_t n_items = (columns + columns_of_item(form_) - 1) / columns_of_item(form_);
    std::byte* line = to + group * group_ / columns_of_item(form_) * kLine;
    for (int64_t i = 0; i < n_items; ++i)
      for (int64_t lane = 0; lane < kTileOutputs; ++lane, line += kItem)
        std::memcpy(line, &items_[static_cast<size_t>(lane * item_bytes() + i * kItem)], kItem);
    for (int64_t i = 0; i < count; ++i) {
      const size_t from = static_cast<size_t>(i * kTileOutputs);
      const auto plane = [&](int64_t at, DType type) {
        return to + at + (group + i) * kTileOutputs * static_cast<int64_t>(size_of(type));
      };
      if (!store_plane(&scales_[from], form_.scale_type, plane(form_.scales_at, form_.scale_type))) lost_.scale = true;
      if (form_.has_offsets &&
          !store_plane(&offsets_[from], form_.offset_type, plane(form_.offsets_at, form_.offset_type)))
        lost_.offset = true;
    }
  }

  const Source& source_;
  const Section& section_;
  const IntForm& form_;
  Lost& lost_;
  const int64_t group_;   // columns, in the source
  const int64_t groups_;  // read at a time
  std::vector<int8_t> q_;
  std::vector<uint8_t> items_;  // [16][item_bytes()]
  std::vector<float> lane_scales_, lane_offsets_;
  std::vector<float> scales_, offsets_;  // [groups_][16]
};

void place(Section& section) {
  IntForm& form = section.ints;
  const auto plane = [&](DType type) { return n_groups(section) * kTileOutputs * static_cast<int64_t>(size_of(type)); };
  form.scales_at = section.depth() * kTileOutputs * form.bits / 8;
  form.offsets_at = form.scales_at + plane(form.scale_type);
  const int64_t end = form.offsets_at + (form.has_offsets ? plane(form.offset_type) : 0);
  form.tile_bytes = (end + kLine - 1) / kLine * kLine;
}

// False once something does not fit the types of the planes.
bool pack_tiles(const Source& source, Section& section, Lost& lost, ThreadPool& pool) {
  place(section);
  section.data = Memory(static_cast<size_t>(section.n_tiles() * section.ints.tile_bytes));
  pool.parallel(section.n_tiles(), [&](int64_t begin, int64_t end, int) {
    Packer packer(source, section, lost);
    for (int64_t tile = begin; tile < end && !lost.scale && !lost.offset; ++tile)
      packer.pack_tile(tile, section.data.data() + tile * section.ints.tile_bytes);
  });
  return !lost.scale && !lost.offset;
}

float number_at(const std::byte* plane, DType type, int64_t index) {
  if (type == DType::F16) {
    f16 half;
    std::memcpy(&half, plane + index * 2, 2);
    return widen(half);
  }
  float value;
  std::memcpy(&value, plane + index * 4, 4);
  return value;
}

}  // namespace

void pack_ints(const Source& source, Section& section, ThreadPool& pool) {
  const Quantised& quantised = *source.rows[0].tensor->quantised;
  section.layout = Section::Layout::Ints;
  IntForm& form = section.ints;
  form.bits = quantised.bits();
  form.group = quantised.group() >= section.k ? section.depth() : quantised.group();
  form.has_offsets = quantised.has_offsets();
  form.order.assign(quantised.order().begin(), quantised.order().end());
  for (;;) {
    Lost lost;
    if (pack_tiles(source, section, lost, pool)) return;
    if (lost.scale) form.scale_type = DType::F32;
    if (lost.offset) form.offset_type = DType::F32;
  }
}

void read_int_row(const Section& section, int64_t row, float* out) {
  const IntForm& form = section.ints;
  const int64_t lane = row % kTileOutputs;
  const std::byte* tile = section.data.data() + row / kTileOutputs * form.tile_bytes;
  for (int64_t col = 0; col < section.k; ++col) {
    const int64_t in_line = col % columns_of_item(form);
    const auto byte = std::to_integer<int>(tile[col / columns_of_item(form) * kLine + lane * kItem + in_line % kItem]);
    const int stored = form.bits == 8 ? byte : in_line < kItem ? byte & 15 : byte >> 4;
    const int64_t index = col / form.group * kTileOutputs + lane;
    float value = number_at(tile + form.scales_at, form.scale_type, index) * static_cast<float>(stored - form.zero());
    if (form.has_offsets) value += number_at(tile + form.offsets_at, form.offset_type, index);
    out[form.order.empty() ? col : form.order[static_cast<size_t>(col)]] = value;
  }
}

}  // namespace gattling::cpu
