#include "backend/quantise.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "backend/half.h"
#include "backend/parts.h"

namespace gattling {
namespace {

// The search for scales is most of the time that a model takes to load. Both sets give the same bits: a sum has eight
// lanes in either, and nothing is contracted (CMakeLists.txt). The thread sanitizer cannot run what chooses between
// them.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_THREAD__)
#define FOR_WIDE_VECTORS __attribute__((target_clones("avx2", "default")))
#else
#define FOR_WIDE_VECTORS
#endif

constexpr int64_t kGroup = 32;
constexpr size_t kMaxGroup = 128;
constexpr size_t kLanes = 8;
typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float))));
constexpr float kShift = 0x1.8p23f;

// To the nearest whole number, ties to even; |x| < 2^22.
float rounded(float x) {
  return (x + kShift) - kShift;
}

float clamped(float x, float least, float most) {
  const float below = x < most ? x : most;
  return below > least ? below : least;
}

float storable(float scale) {
  f16 half;
  narrow(scale, half);
  const float near = widen(half);
  return std::abs(near - scale) <= std::abs(scale) / 256 ? near : scale;
}

struct Range {
  float largest = 0;  // of the greatest magnitude, with its sign
  bool finite = true;
};

Range range_of(std::span<const float> x) {
  Range range;
  float nothing = 0;
  for (float value : x) {
    nothing += value * 0;
    if (std::abs(value) > std::abs(range.largest)) range.largest = value;
  }
  range.finite = nothing == 0;
  return range;
}

// How well x / largest is met by integers q = factor * x / largest in [-8, 7] and the scale that fits them best:
// sum(x q)^2 / sum(q^2) is what it takes off the squared error.
struct Fit {
  float gain = 0;
  float scale = 0;
};

float sum(const Lanes& x) {
  return ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]));
}

// x comes padded with zeros, which add nothing.
FOR_WIDE_VECTORS Fit fit_of(const Lanes* x, size_t n, float largest, float factor) {
  const float unit = 1 / largest;
  Lanes products = {}, squares = {};
  for (size_t i = 0; i < n; ++i) {
    const Lanes value = x[i] * unit;
    Lanes q = (value * factor + kShift) - kShift;
    q = q < 7 ? q : Lanes{} + 7;
    q = q > -8 ? q : Lanes{} - 8;
    products += value * q;
    squares += q * q;
  }
  const float product = sum(products), square = sum(squares);
  if (!(square > 0)) return {};
  return {product * product / square, product / square};
}

// As llama.cpp's make_qx_quants (ggml-quants.c): the largest magnitude goes to -8 or thereabouts, and the best of a few
// such scales is refined by least squares.
float scale_of_4_bits(std::span<const float> x, float largest) {
  std::array<Lanes, kMaxGroup / kLanes> lanes = {};
  std::memcpy(lanes.data(), x.data(), x.size_bytes());
  Fit best;
  for (int i = -5; i <= 4; ++i) {
    const Fit fit = fit_of(lanes.data(), (x.size() + kLanes - 1) / kLanes, largest, -8 + 0.2f * static_cast<float>(i));
    if (fit.gain > best.gain) best = fit;
  }
  return largest * best.scale;
}

class DenseInts final : public Quantised {
 public:
  DenseInts(HostTensor dense, int bits, int64_t group) : dense_(std::move(dense)), bits_(bits), group_(group) {
    dense_.paired_head = 0;  // rows are asked for as stored
  }

  int bits() const override { return bits_; }
  int64_t group() const override { return group_; }
  bool has_offsets() const override { return false; }
  void read(int64_t row, int64_t first, int64_t count, int8_t* q, float* scales, float* offsets) const override {
    float x[128];
    const int64_t k = dense_.shape[1];
    for (int64_t group = first; group < first + count; ++group, q += group_) {
      const int64_t n = std::min(group_, k - group * group_);
      read_columns(dense_, row, group * group_, n, x);
      std::fill(q + n, q + group_, int8_t{0});
      *scales++ = quantise_group(bits_, {x, static_cast<size_t>(n)}, q);
      *offsets++ = 0;
    }
  }

 private:
  HostTensor dense_;
  int bits_;
  int64_t group_;  // at most 128
};

}  // namespace

float quantise_group(int bits, std::span<const float> x, int8_t* q) {
  const Range range = range_of(x);
  std::fill_n(q, x.size(), int8_t{0});
  if (!range.finite) return std::numeric_limits<float>::quiet_NaN();
  if (std::abs(range.largest) < 1e-36f) return 0;  // below, a reciprocal could overflow
  const float scale = storable(bits == 8 ? std::abs(range.largest) / 127 : scale_of_4_bits(x, range.largest));
  const float inverse = 1 / scale, least = bits == 8 ? -127.0f : -8.0f, most = bits == 8 ? 127.0f : 7.0f;
  for (size_t i = 0; i < x.size(); ++i) q[i] = static_cast<int8_t>(clamped(rounded(x[i] * inverse), least, most));
  return scale;
}

QuantisedParts::QuantisedParts(Use use, std::span<const HostTensor> parts, Quantization quantization)
    : parts_(parts.begin(), parts.end()) {
  if (quantization == Quantization::None || use == Use::Norm) return;
  const bool eight = quantization == Quantization::Int8 || use == Use::Embedding || use == Use::Head;
  const int64_t group = !eight && quantization == Quantization::Int4G128 ? 128 : kGroup;
  for (HostTensor& part : parts_) {
    if (part.quantised || part.shape.size() != 2) continue;
    owned_.push_back(std::make_unique<DenseInts>(part, eight ? 8 : 4, group));
    part.stored_bytes = part.bytes();
    part.quantised = owned_.back().get();
  }
}

uint64_t packed_bytes(const HostTensor& tensor) {
  const Quantised& quantised = *tensor.quantised;
  const int64_t n = tensor.shape[0], k = tensor.shape[1], group = quantised.group(), groups = (k + group - 1) / group;
  const int64_t looked_at = std::min<int64_t>(groups, 4);
  std::vector<int8_t> q(static_cast<size_t>(looked_at * group));
  std::vector<float> scales(static_cast<size_t>(looked_at)), offsets(scales.size());
  quantised.read(0, 0, looked_at, q.data(), scales.data(), offsets.data());
  const int64_t scale = std::ranges::all_of(scales, fits_half) ? 2 : 4, offset = quantised.has_offsets() ? 4 : 0;
  return static_cast<uint64_t>(n * (k * quantised.bits() / 8 + groups * (scale + offset)));
}

}  // namespace gattling
