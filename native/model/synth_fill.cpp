#include <array>
#include <bit>
#include <cstring>
#include <functional>

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

// The sum of four uniform bytes is near normal, with mean 510 and variance 4 * (2^16 - 1) / 12, and has so few values
// that a table converts them.
constexpr size_t kSums = 4 * 255 + 1;

float near_normal(size_t sum) {
  return (static_cast<float>(sum) - 510) * (kDeviation / 147.80054f);
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

template <typename T, typename Convert>
void fill_normal(std::span<std::byte> out, uint64_t first, Convert convert, uint64_t key) {
  std::array<T, kSums> table;
  for (size_t sum = 0; sum < kSums; ++sum) table[sum] = convert(near_normal(sum));
  const uint64_t last = first + out.size() / sizeof(T);
  const auto put = [&](uint64_t index, uint64_t sum) {
    if (index >= first && index < last) std::memcpy(out.data() + (index - first) * sizeof(T), &table[sum], sizeof(T));
  };
  // 64 random bits make the elements 2 * i and 2 * i + 1.
  for (uint64_t i = first / 2; 2 * i < last; ++i) {
    const uint64_t bits = mix(key, i);
    const uint64_t twos = (bits & 0x00FF00FF00FF00FF) + (bits >> 8 & 0x00FF00FF00FF00FF);
    const uint64_t fours = (twos & 0x0000FFFF0000FFFF) + (twos >> 16 & 0x0000FFFF0000FFFF);
    put(2 * i, fours & 0xFFFFFFFF);
    put(2 * i + 1, fours >> 32);
  }
}

template <typename T, typename Convert>
void fill(const TensorSpec& tensor, uint64_t seed, uint64_t first, std::span<std::byte> out, Convert convert) {
  if (!tensor.name.ends_with("norm.weight")) return fill_normal<T>(out, first, convert, stream_key(seed, tensor.name));
  const T one = convert(1);
  for (size_t i = 0; i < out.size(); i += sizeof(T)) std::memcpy(out.data() + i, &one, sizeof(T));
}

}  // namespace

void synth_fill(const TensorSpec& tensor, DType dtype, uint64_t seed, uint64_t first, std::span<std::byte> out) {
  if (dtype == DType::F32)
    fill<float>(tensor, seed, first, out, std::identity{});
  else
    fill<uint16_t>(tensor, seed, first, out, dtype == DType::BF16 ? to_bf16 : to_f16);
}

}  // namespace gattling
