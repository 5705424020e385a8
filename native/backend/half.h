// 16-bit floats on the host. Internal linkage on purpose: files compiled for wider instruction sets include this too,
// and a shared inline function could reach a machine that lacks them.
#pragma once

#include <cstdint>
#include <cstring>

namespace gattling {

struct bf16 {
  uint16_t bits;
};
struct f16 {
  uint16_t bits;
};

[[maybe_unused]] static inline uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}

[[maybe_unused]] static inline float float_of(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

[[maybe_unused]] static inline float widen(float value) {
  return value;
}

[[maybe_unused]] static inline float widen(bf16 value) {
  return float_of(uint32_t{value.bits} << 16);
}

// Subnormals come out right because the exponent is moved by a multiplication.
[[maybe_unused]] static inline float widen(f16 value) {
  const uint32_t magnitude = (value.bits & 0x7fffu) << 13;
  const uint32_t sign = (value.bits & 0x8000u) << 16;
  const uint32_t finite = bits_of(float_of(magnitude) * 0x1p112f);
  return float_of(sign | (magnitude >= 0x0f800000u ? magnitude | 0x7f800000u : finite));
}

[[maybe_unused]] static inline void narrow(float value, float& to) {
  to = value;
}

// Round to nearest, ties to even; a NaN stays one.
[[maybe_unused]] static inline void narrow(float value, bf16& to) {
  const uint32_t bits = bits_of(value);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  to.bits = static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? (bits >> 16) | 0x40u : rounded);
}

// Round to nearest, ties to even; past 65504 infinity; a NaN stays one.
[[maybe_unused]] static inline void narrow(float value, f16& to) {
  const uint32_t bits = bits_of(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  uint32_t half;
  if (magnitude > 0x7f800000u) {
    half = 0x7e00u;
  } else if (magnitude >= 0x477ff000u) {  // 65520 rounds up to infinity
    half = 0x7c00u;
  } else if (magnitude < 0x38800000u) {  // below 2^-14: adding 0.5 leaves multiples of 2^-24 in the low bits
    half = bits_of(float_of(magnitude) + 0.5f) - 0x3f000000u;
  } else {
    half = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  }
  to.bits = static_cast<uint16_t>(sign | half);
}

[[maybe_unused]] static inline bool fits_half(float value) {
  f16 half;
  narrow(value, half);
  return bits_of(widen(half)) == bits_of(value);
}

}  // namespace gattling
