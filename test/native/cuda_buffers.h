// Values on the device and back, for tests of kernels.
#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

#include "backend/half.h"
#include "cuda/kernels/common.h"

namespace test {

template <typename T>
gattling::cuda::Buffer on_device(const std::vector<T>& values, gattling::cuda::Stream& stream) {
  gattling::cuda::Buffer buffer(values.size() * sizeof(T));
  if (!values.empty()) stream.copy_to_device(buffer.as<void>(), values.data(), buffer.bytes());
  stream.synchronize();
  return buffer;
}

template <typename T>
std::vector<T> on_host(const gattling::cuda::Buffer& buffer, gattling::cuda::Stream& stream) {
  std::vector<T> values(buffer.bytes() / sizeof(T));
  stream.copy_to_host(values.data(), buffer.as<void>(), buffer.bytes());
  stream.synchronize();
  return values;
}

// The i-th of a sequence of values in [-2, 2).
inline float value(size_t i) {
  return static_cast<float>(static_cast<int>(i * 2654435761u >> 16 & 1023) - 512) / 256;
}

template <typename T>
T rounded(float x) {
  T to;
  gattling::narrow(x, to);
  return to;
}

template <typename T>
constexpr gattling::cuda::Half half_of =
    std::is_same_v<T, gattling::bf16> ? gattling::cuda::Half::BF16 : gattling::cuda::Half::F16;
// The largest relative error of rounding to it.
template <typename T>
constexpr double unit_of = std::is_same_v<T, gattling::bf16> ? 1.0 / 256 : 1.0 / 2048;

}  // namespace test
