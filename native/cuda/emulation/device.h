// What CUDA gives a kernel, on the host: the names of the CUDA C++ Programming Guide that our kernels use, and no
// others.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "cuda/emulation/block.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__ __restrict
#define __launch_bounds__(...)

#define threadIdx (::gattling::emulation::place.thread)
#define blockIdx (::gattling::emulation::place.block)
#define blockDim (::gattling::emulation::place.block_size)
#define gridDim (::gattling::emulation::place.grid_size)

struct alignas(8) uint2 {
  uint32_t x, y;
};
struct alignas(16) uint4 {
  uint32_t x, y, z, w;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
inline uint2 make_uint2(uint32_t x, uint32_t y) {
  return {x, y};
}
inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) {
  return {x, y, z, w};
}
inline float2 make_float2(float x, float y) {
  return {x, y};
}
inline float4 make_float4(float x, float y, float z, float w) {
  return {x, y, z, w};
}

inline void __syncthreads(int line = __builtin_LINE()) {
  gattling::emulation::block_barrier(0, 0, line);
}

namespace gattling::emulation {

enum Kind { kSync = 1, kShuffle, kVote, kMatrixLoad, kMatrixMultiply };

inline int lane() {
  return place.linear % 32;
}

template <typename T>
T shuffle(uint32_t mask, T value, int from) {
  warp_outbox().slot<T>(lane()) = value;
  return warp_meet(mask, kShuffle).slot<T>(from & 31);
}

// One thread at a time runs, so plain arithmetic is atomic.
template <typename T, typename F>
T exchange(T* at, const F& next) {
  const T old = *at;
  *at = next(old);
  return old;
}

}  // namespace gattling::emulation

inline void __syncwarp(uint32_t mask = 0xffffffffu) {
  gattling::emulation::warp_meet(mask, gattling::emulation::kSync);
}
template <typename T>
T __shfl_sync(uint32_t mask, T value, int from) {
  return gattling::emulation::shuffle(mask, value, from);
}
template <typename T>
T __shfl_xor_sync(uint32_t mask, T value, int bits) {
  return gattling::emulation::shuffle(mask, value, gattling::emulation::lane() ^ bits);
}
template <typename T>
T __shfl_up_sync(uint32_t mask, T value, int delta) {
  const int lane = gattling::emulation::lane();
  return gattling::emulation::shuffle(mask, value, lane >= delta ? lane - delta : lane);
}
template <typename T>
T __shfl_down_sync(uint32_t mask, T value, int delta) {
  const int lane = gattling::emulation::lane();
  return gattling::emulation::shuffle(mask, value, lane + delta < 32 ? lane + delta : lane);
}
inline uint32_t __ballot_sync(uint32_t mask, bool vote) {
  using namespace gattling::emulation;
  warp_outbox().slot<int>(lane()) = vote;
  Exchange& all = warp_meet(mask, kVote);
  uint32_t bits = 0;
  for (int i = 0; i < 32; ++i)
    if ((mask >> i & 1) && all.slot<int>(i)) bits |= 1u << i;
  return bits;
}
inline bool __any_sync(uint32_t mask, bool vote) {
  return __ballot_sync(mask, vote) != 0;
}
inline bool __all_sync(uint32_t mask, bool vote) {
  return __ballot_sync(mask, vote) == mask;
}

template <typename T>
T atomicAdd(T* at, T value) {
  return gattling::emulation::exchange(at, [&](T old) { return old + value; });
}
template <typename T>
T atomicMax(T* at, T value) {
  return gattling::emulation::exchange(at, [&](T old) { return old < value ? value : old; });
}
template <typename T>
T atomicMin(T* at, T value) {
  return gattling::emulation::exchange(at, [&](T old) { return value < old ? value : old; });
}
template <typename T>
T atomicOr(T* at, T value) {
  return gattling::emulation::exchange(at, [&](T old) { return old | value; });
}
template <typename T>
T atomicCAS(T* at, T expected, T value) {
  return gattling::emulation::exchange(at, [&](T old) { return old == expected ? value : old; });
}
template <typename T>
T atomicExch(T* at, T value) {
  return gattling::emulation::exchange(at, [&](T) { return value; });
}
inline void __threadfence() {}

inline int __popc(uint32_t x) {
  return __builtin_popcount(x);
}
inline int __ffs(uint32_t x) {
  return __builtin_ffs(static_cast<int>(x));
}
inline int __clz(uint32_t x) {
  return x == 0 ? 32 : __builtin_clz(x);
}
inline uint32_t __float_as_uint(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}
inline float __fmul_rn(float a, float b) {
  return a * b;
}
inline float __fadd_rn(float a, float b) {
  return a + b;
}
inline float __uint_as_float(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}
inline uint32_t __umulhi(uint32_t a, uint32_t b) {
  return static_cast<uint32_t>(uint64_t{a} * b >> 32);
}
template <typename T>
T min(T a, T b) {
  return b < a ? b : a;
}
template <typename T>
T max(T a, T b) {
  return a < b ? b : a;
}
inline float rsqrtf(float x) {
  return 1.0f / std::sqrt(x);
}
inline float __fdividef(float a, float b) {
  return a / b;
}
inline float __expf(float x) {
  return std::exp(x);
}
inline float exp2_approx(float x) {
  return std::exp2(x);
}
