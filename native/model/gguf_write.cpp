#include "model/gguf_write.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "backend/half.h"
#include "model/gguf.h"

namespace gattling {
namespace {

constexpr int64_t kBlock = 32;  // elements of a Q8_0 or Q4_0
constexpr uint32_t kVersion = 3;

static_assert(std::endian::native == std::endian::little);

template <typename T>
void put(std::string& to, T value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

void put_text(std::string& to, std::string_view text) {
  put<uint64_t>(to, text.size());
  to += text;
}

uint64_t aligned(uint64_t bytes) {
  return (bytes + GgufHeader::kAlignment - 1) / GgufHeader::kAlignment * GgufHeader::kAlignment;
}

template <typename T>
void write_plain(const float* x, int64_t n, std::byte* to) {
  for (int64_t i = 0; i < n; ++i) {
    T value;
    narrow(x[i], value);
    std::memcpy(to + static_cast<size_t>(i) * sizeof(T), &value, sizeof(T));
  }
}

void write_scale(float scale, std::byte* to) {
  f16 half;
  narrow(scale, half);
  std::memcpy(to, &half, sizeof(half));
}

void write_q8_0(const float* x, std::byte* to) {
  float most = 0;
  for (int64_t i = 0; i < kBlock; ++i) most = std::max(most, std::abs(x[i]));
  const float scale = most / 127, inverse = scale != 0 ? 1 / scale : 0;
  write_scale(scale, to);
  for (int64_t i = 0; i < kBlock; ++i)
    to[2 + i] = static_cast<std::byte>(static_cast<int8_t>(std::round(x[i] * inverse)));
}

void write_q4_0(const float* x, std::byte* to) {
  float largest = 0;  // of the greatest magnitude, with its sign
  for (int64_t i = 0; i < kBlock; ++i)
    if (std::abs(x[i]) > std::abs(largest)) largest = x[i];
  const float scale = largest / -8, inverse = scale != 0 ? 1 / scale : 0;
  write_scale(scale, to);
  const auto nibble = [&](int64_t i) { return std::min(15, static_cast<int>(x[i] * inverse + 8.5f)); };
  for (int64_t i = 0; i < kBlock / 2; ++i) to[2 + i] = static_cast<std::byte>(nibble(i) | nibble(i + kBlock / 2) << 4);
}

}  // namespace

void GgufHeader::string(std::string_view key, std::string_view value) {
  put_text(fields_, key);
  put(fields_, GgufType::String);
  put_text(fields_, value);
  ++n_fields_;
}

void GgufHeader::u32(std::string_view key, uint32_t value) {
  put_text(fields_, key);
  put(fields_, GgufType::Uint32);
  put(fields_, value);
  ++n_fields_;
}

void GgufHeader::f32(std::string_view key, float value) {
  put_text(fields_, key);
  put(fields_, GgufType::Float32);
  put(fields_, value);
  ++n_fields_;
}

void GgufHeader::fields(std::string_view bytes, uint64_t n) {
  fields_ += bytes;
  n_fields_ += n;
}

uint64_t GgufHeader::tensor(std::string_view name, const std::vector<int64_t>& shape, GgmlType type) {
  const uint64_t offset = data_bytes_;
  int64_t n = 1;
  put_text(tensors_, name);
  put(tensors_, static_cast<uint32_t>(shape.size()));
  for (size_t i = shape.size(); i-- > 0;) {
    put(tensors_, static_cast<uint64_t>(shape[i]));
    n *= shape[i];
  }
  put(tensors_, type);
  put(tensors_, offset);
  ++n_tensors_;
  data_bytes_ = aligned(offset + ggml_bytes(type, n));
  return offset;
}

std::string GgufHeader::bytes() const {
  std::string out = "GGUF";
  put(out, kVersion);
  put(out, n_tensors_);
  put(out, n_fields_);
  out += fields_;
  out += tensors_;
  out.resize(aligned(out.size()), '\0');
  return out;
}

uint64_t ggml_bytes(GgmlType type, int64_t n) {
  const GgmlBlock& block = *ggml_block(static_cast<uint32_t>(type));
  return static_cast<uint64_t>(n / block.elements * block.bytes);
}

bool can_write(GgmlType type, std::span<const float> x) {
  constexpr float kHalf = 65504;
  const float limit = type == GgmlType::F16    ? kHalf
                      : type == GgmlType::Q8_0 ? kHalf * 127
                      : type == GgmlType::Q4_0 ? kHalf * 8
                      : type == GgmlType::BF16 ? 0x1.fep127f
                                               : std::numeric_limits<float>::max();
  return std::ranges::all_of(x, [&](float value) { return std::abs(value) <= limit; });
}

void write_ggml(GgmlType type, const float* x, int64_t n, std::byte* to) {
  switch (type) {
    case GgmlType::F32:
      return write_plain<float>(x, n, to);
    case GgmlType::F16:
      return write_plain<f16>(x, n, to);
    case GgmlType::BF16:
      return write_plain<bf16>(x, n, to);
    default:
      const bool eight = type == GgmlType::Q8_0;
      for (int64_t i = 0; i < n; i += kBlock, to += ggml_bytes(type, kBlock))
        (eight ? write_q8_0 : write_q4_0)(x + i, to);
  }
}

}  // namespace gattling
