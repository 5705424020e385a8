#include <bit>
#include <cstring>

#include "model/synth.h"

namespace gattling {
namespace {

constexpr float kDeviation = 0.02f;  // initializer_range of the supported models

// The finaliser of SplitMix64 (Steele et al., "Fast splittable pseudorandom number generators", OOPSLA 2014): a counter
// times the golden ratio goes in, 64 random bits come out.
uint64_t mix(uint64_t key, uint64_t counter) {
  uint64_t z = key + counter * 0x9E3779B97F4A7C15;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
  z = (z ^ z >> 27) * 0x94D049BB133111EB;
  return z ^ z >> 31;
}

// FNV-1a of the name, mixed with the seed: another stream for every tensor.
uint64_t stream_key(uint64_t seed, const std::string& name) {
  uint64_t hash = 0xCBF29CE484222325;
  for (unsigned char c : name) hash = (hash ^ c) * 0x100000001B3;
  return mix(seed, hash);
}

// The sum of four uniform 16-bit numbers has mean 131070 and variance (2^32 - 1) / 3, and is near normal.
float near_normal(uint64_t key, uint64_t index) {
  const uint64_t bits = mix(key, index);
  const uint64_t pairs = (bits & 0x0000FFFF0000FFFF) + (bits >> 16 & 0x0000FFFF0000FFFF);
  const int32_t sum = static_cast<int32_t>((pairs & 0xFFFFFFFF) + (pairs >> 32));
  constexpr float kScale = kDeviation / 37837.227f;
  return static_cast<float>(sum - 131070) * kScale;
}

uint16_t to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

// For |value| < 65504: scaled by 2^-112 a float has the exponent field of a half, subnormals included.
uint16_t to_f16(float value) {
  const uint32_t sign = std::bit_cast<uint32_t>(value) & 0x80000000;
  const uint32_t bits = std::bit_cast<uint32_t>(value * 0x1p-112f) & 0x7FFFFFFF;
  return static_cast<uint16_t>(sign >> 16 | (bits + 0xFFF + (bits >> 13 & 1)) >> 13);
}

template <typename T, typename Convert, typename Value>
void fill(std::span<std::byte> out, uint64_t first, Convert convert, Value value) {
  for (size_t i = 0; i < out.size() / sizeof(T); ++i) {
    const T element = convert(value(first + i));
    std::memcpy(out.data() + i * sizeof(T), &element, sizeof(T));
  }
}

template <typename Value>
void fill_as(DType dtype, uint64_t first, std::span<std::byte> out, Value value) {
  if (dtype == DType::F32)
    fill<float>(
        out, first, [](float x) { return x; }, value);
  else if (dtype == DType::BF16)
    fill<uint16_t>(out, first, to_bf16, value);
  else
    fill<uint16_t>(out, first, to_f16, value);
}

}  // namespace

void synth_fill(const TensorSpec& tensor, DType dtype, uint64_t seed, uint64_t first, std::span<std::byte> out) {
  if (tensor.name.ends_with("norm.weight")) return fill_as(dtype, first, out, [](uint64_t) { return 1.0f; });
  const uint64_t key = stream_key(seed, tensor.name);
  fill_as(dtype, first, out, [key](uint64_t index) { return near_normal(key, index); });
}

}  // namespace gattling
