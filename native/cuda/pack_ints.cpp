#include <algorithm>
#include <bit>
#include <cstring>

#include "backend/half.h"
#include "backend/quantised.h"
#include "cuda/pack.h"

namespace gattling::cuda {
namespace {

constexpr int64_t kTile = 16, kStep = 32;  // as kernels/linear.h has them
constexpr int64_t kRun = 8;                // columns of a row that a lane holds together

const Quantised* quantised_of(const Source& source) {
  return source.rows[0].tensor->quantised;
}

// Reads rows of a weight and puts what they hold where linear_ints.cu takes it from.
class Tiles {
 public:
  Tiles(const Source& source, const CudaWeight& weight)
      : source_(source),
        weight_(weight),
        quantised_(*quantised_of(source)),
        stride_(stride_of(source.k)),
        group_(quantised_.group()),
        n_read_((source.k + group_ - 1) / group_),
        q_(static_cast<size_t>(std::max(n_read_ * group_, stride_))),
        row_scales_(static_cast<size_t>(n_read_)),
        row_offsets_(row_scales_.size()) {
    const int64_t group = int64_t{1} << group_shift();
    n_groups_ = (stride_ + group - 1) / group;
    scales.resize(static_cast<size_t>(n_tiles() * kTile * n_groups_));
    offsets.resize(scales.size());
  }

  int64_t n_tiles() const { return (weight_.n + kTile - 1) / kTile; }
  int64_t tile_bytes() const { return stride_ * kTile * quantised_.bits() / 8; }
  // A whole row is one group for any column.
  int group_shift() const {
    return quantised_.group() >= source_.k ? 30 : std::countr_zero(static_cast<uint64_t>(quantised_.group()));
  }

  void read(int64_t tile, std::byte* to) {
    std::memset(to, quantised_.bits() == 8 ? 128 : 0x88, static_cast<size_t>(tile_bytes()));
    const int64_t rows = std::min(kTile, weight_.n - tile * kTile);
    for (int64_t row = 0; row < rows; ++row) read_row(tile, row, to);
  }

  std::vector<float> scales, offsets;  // [tiles][groups][8][2]

 private:
  void read_row(int64_t tile, int64_t row, std::byte* to) {
    int64_t at = packed_source_row(weight_, tile * kTile + row);
    const RowRange* range = source_.rows.data();
    for (; at >= range->count; ++range) at -= range->count;
    const HostTensor& tensor = *range->tensor;
    std::fill(q_.begin(), q_.end(), int8_t{0});
    tensor.quantised->read(tensor.stored_row(range->first + at), source_.first_col / quantised_.group(), n_read_,
                           q_.data(), row_scales_.data(), row_offsets_.data());
    const int64_t half = row / 8, g = row % 8;
    for (int64_t i = 0; i < n_read_; ++i) {
      const size_t plane = static_cast<size_t>(((tile * n_groups_ + i) * 8 + g) * 2 + half);
      scales[plane] = row_scales_[static_cast<size_t>(i)];
      offsets[plane] = quantised_.has_offsets() ? row_offsets_[static_cast<size_t>(i)] : 0;
    }
    const int64_t run_bytes = kRun * quantised_.bits() / 8;
    for (int64_t col = 0; col < stride_; col += kRun) {
      const int64_t lane = g * 4 + col % kStep / kRun;
      std::byte* run = to + (((col / kStep) * 32 + lane) * 2 + half) * run_bytes;
      for (int64_t i = 0; i < kRun; ++i) put(run, i, q_[static_cast<size_t>(col + i)]);
    }
  }

  void put(std::byte* run, int64_t i, int8_t q) const {
    if (quantised_.bits() == 8) {
      run[i] = static_cast<std::byte>(q + 128);
      return;
    }
    const int shift = i % 2 == 0 ? 0 : 4;
    run[i / 2] = (run[i / 2] & ~(std::byte{15} << shift)) | static_cast<std::byte>((q + 8) << shift);
  }

  const Source& source_;
  const CudaWeight& weight_;
  const Quantised& quantised_;
  const int64_t stride_, group_, n_read_;
  int64_t n_groups_;
  std::vector<int8_t> q_;  // a row
  std::vector<float> row_scales_, row_offsets_;
};

std::vector<f16> halves_of(const std::vector<float>& values) {
  std::vector<f16> halves(values.size());
  for (size_t i = 0; i < values.size(); ++i) narrow(values[i], halves[i]);
  return halves;
}

}  // namespace

bool takes_ints(Use use) {
  return use == Use::Qkv || use == Use::AttnOut || use == Use::GateUp || use == Use::Down;
}

bool packs_ints(Use use, const Source& source) {
  if (!takes_ints(use)) return false;
  const Quantised* first = quantised_of(source);
  return first && first->order().empty() && std::ranges::all_of(source.rows, [&](const RowRange& range) {
           return range.tensor->quantised && quantised_alike(*range.tensor->quantised, *first);
         });
}

template <typename T>
Buffer Packer::send_all(const std::vector<T>& values) {
  constexpr size_t kAtOnce = kChunk / sizeof(T);
  Buffer buffer(values.size() * sizeof(T));
  for (size_t first = 0; first < values.size(); first += kAtOnce) {
    const size_t bytes = std::min(kAtOnce, values.size() - first) * sizeof(T);
    std::memcpy(stage(bytes), &values[first], bytes);
    send(buffer.as<T>() + first, bytes);
  }
  return buffer;
}

void Packer::pack_ints(const Source& source, CudaWeight& weight) {
  Tiles tiles(source, weight);
  const size_t tile_bytes = static_cast<size_t>(tiles.tile_bytes());
  const int64_t at_once = std::max<int64_t>(1, static_cast<int64_t>(kChunk / tile_bytes));
  weight.data = Buffer(static_cast<size_t>(tiles.n_tiles()) * tile_bytes);
  for (int64_t first = 0; first < tiles.n_tiles(); first += at_once) {
    const int64_t count = std::min(at_once, tiles.n_tiles() - first);
    const size_t bytes = static_cast<size_t>(count) * tile_bytes;
    std::byte* to = stage(bytes);
    for (int64_t i = 0; i < count; ++i) tiles.read(first + i, to + static_cast<size_t>(i) * tile_bytes);
    send(weight.data.as<std::byte>() + static_cast<size_t>(first) * tile_bytes, bytes);
  }
  const Quantised& quantised = *quantised_of(source);
  const bool wide = quantised.has_offsets() || !std::ranges::all_of(tiles.scales, fits_half);
  weight.scales = wide ? send_all(tiles.scales) : send_all(halves_of(tiles.scales));
  if (wide) weight.offsets = send_all(tiles.offsets);
  weight.bits = quantised.bits();
  weight.group_shift = tiles.group_shift();
}

}  // namespace gattling::cuda
