// What kernels are written in. nvcc compiles them for the device; the emulation compiles the same sources for the host.
//
// Rules that both compilers need: shared memory is only shared<Layout>(); a warp's collectives are called by all of its
// 32 lanes; memory that a copy_async16 fills is 16-byte aligned.
#pragma once

#include <cstdint>

#include "cuda/launch.h"

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#else
#include "backend/half.h"
#include "cuda/emulation/device.h"
#endif

// nvcc keeps an array in registers only if every loop over it is unrolled.
#ifdef __CUDACC__
#define GATTLING_UNROLL _Pragma("unroll")
#else
#define GATTLING_UNROLL
#endif

namespace gattling::cuda {

constexpr int kWarp = 32;
constexpr uint32_t kAllLanes = 0xffffffffu;

#ifdef __CUDACC__

using BF16 = __nv_bfloat16;
using F16 = __half;

// The block's dynamic shared memory.
template <typename Layout>
__device__ __forceinline__ Layout& shared() {
  extern __shared__ __align__(128) unsigned char gattling_shared[];
  return *reinterpret_cast<Layout*>(gattling_shared);
}

__device__ __forceinline__ float widen(float x) {
  return x;
}
__device__ __forceinline__ float widen(BF16 x) {
  return __bfloat162float(x);
}
__device__ __forceinline__ float widen(F16 x) {
  return __half2float(x);
}

// Round to nearest, ties to even.
template <typename T>
__device__ __forceinline__ T narrow(float x);
template <>
__device__ __forceinline__ float narrow<float>(float x) {
  return x;
}
template <>
__device__ __forceinline__ BF16 narrow<BF16>(float x) {
  return __float2bfloat16_rn(x);
}
template <>
__device__ __forceinline__ F16 narrow<F16>(float x) {
  return __float2half_rn(x);
}

template <typename T>
struct Pair;
template <>
struct Pair<BF16> {
  __device__ __forceinline__ static __nv_bfloat162 narrow(float low, float high) {
    return __floats2bfloat162_rn(low, high);
  }
};
template <>
struct Pair<F16> {
  __device__ __forceinline__ static __half2 narrow(float low, float high) { return __floats2half2_rn(low, high); }
};

__device__ __forceinline__ float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// Waits for n_threads threads (a multiple of 32) at barrier `id`, 1 to 15.
__device__ __forceinline__ void named_barrier(int id, int n_threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(n_threads) : "memory");
}

// Starts a copy of 16 bytes to shared memory, of which the first `filled` (0 or 16) are read and the others zeros.
__device__ __forceinline__ void copy_async16(void* to, const void* from, int filled) {
  const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(filled) : "memory");
}
__device__ __forceinline__ void copy_commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
// Until at most N of this thread's groups are open; other threads' copies need a barrier as well.
template <int N>
__device__ __forceinline__ void copy_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

// A load of 16 bytes that are not read again: past the first-level cache.
__device__ __forceinline__ uint4 load_once(const void* from) {
  uint4 v;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(from));
  return v;
}

// Four 8x8 matrices of 16-bit elements (PTX ISA, ldmatrix): lane i gives the address of row i % 8 of matrix i / 8, 16
// bytes in shared memory; r[m] gets elements (2 (lane % 4), +1) of row lane / 4 of matrix m. Transposed: of its
// columns.
__device__ __forceinline__ void load_matrices(uint32_t (&r)[4], const void* row) {
  const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}
__device__ __forceinline__ void load_matrices_transposed(uint32_t (&r)[4], const void* row) {
  const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

// d [16, 8] += a [16, 16] b [16, 8], accumulated in fp32 (PTX ISA, mma.m16n8k16). With g = lane / 4 and t = lane % 4:
// a[0], a[2] hold row g, columns 2t, 2t + 1 and 2t + 8, 2t + 9; a[1], a[3] the same of row g + 8; b[0], b[1] hold
// column g, rows 2t, 2t + 1 and 2t + 8, 2t + 9; d[0], d[1] row g, columns 2t, 2t + 1; d[2], d[3] the same of row g + 8.
template <typename T>
__device__ __forceinline__ void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
template <>
__device__ __forceinline__ void multiply<BF16>(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
      "%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
template <>
__device__ __forceinline__ void multiply<F16>(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
      "%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ __forceinline__ int lane_id() {
  return static_cast<int>(threadIdx.x % kWarp);
}

#else

using BF16 = bf16;
using F16 = f16;

template <typename Layout>
Layout& shared() {
  return *reinterpret_cast<Layout*>(emulation::shared_memory());
}

using gattling::widen;
template <typename T>
T narrow(float x) {
  T to;
  gattling::narrow(x, to);
  return to;
}

inline float exp2_fast(float x) {
  return std::exp2(x);
}

inline void named_barrier(int id, int n_threads) {
  emulation::block_barrier(id, n_threads);
}

inline void copy_async16(void* to, const void* from, int filled) {
  emulation::copy_async(to, from, 16, filled);
}
inline void copy_commit() {
  emulation::copy_commit();
}
template <int N>
void copy_wait() {
  emulation::copy_wait(N);
}

inline uint4 load_once(const void* from) {
  emulation::require_aligned(from, 16);
  return *static_cast<const uint4*>(from);
}

inline void load_matrices(uint32_t (&r)[4], const void* row) {
  using namespace emulation;
  require_aligned(row, 16);
  warp_outbox().slot<const void*>(lane()) = row;
  Exchange& all = warp_meet(kAllLanes, kMatrixLoad);
  for (int m = 0; m < 4; ++m)
    r[m] = static_cast<const uint32_t*>(all.slot<const void*>(m * 8 + lane() / 4))[lane() % 4];
  warp_meet(kAllLanes, kSync);  // rows may be overwritten after this
}
inline void load_matrices_transposed(uint32_t (&r)[4], const void* row) {
  using namespace emulation;
  require_aligned(row, 16);
  warp_outbox().slot<const void*>(lane()) = row;
  Exchange& all = warp_meet(kAllLanes, kMatrixLoad);
  for (int m = 0; m < 4; ++m) {
    const auto element = [&](int i) -> uint32_t {
      return static_cast<const uint16_t*>(all.slot<const void*>(m * 8 + lane() % 4 * 2 + i))[lane() / 4];
    };
    r[m] = element(0) | element(1) << 16;
  }
  warp_meet(kAllLanes, kSync);
}

template <typename T>
void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  using namespace emulation;
  struct Values {
    float a[8], b[4];
  };
  const auto element = [](uint32_t pair, int i) { return widen(T{static_cast<uint16_t>(i == 0 ? pair : pair >> 16)}); };
  Values& mine = warp_outbox().slot<Values>(lane());
  for (int i = 0; i < 8; ++i) mine.a[i] = element(a[i / 2], i % 2);
  for (int i = 0; i < 4; ++i) mine.b[i] = element(b[i / 2], i % 2);
  Exchange& all = warp_meet(kAllLanes, kMatrixMultiply);
  const int g = lane() / 4, t = lane() % 4;
  for (int i = 0; i < 4; ++i) {
    const int half = i / 2, column = 2 * t + i % 2;  // of rows, of the result
    float sum = 0;
    for (int quad = 0; quad < 4; ++quad) {
      const Values& row = all.slot<Values>(g * 4 + quad);
      const Values& col = all.slot<Values>(column * 4 + quad);
      for (int k = 0; k < 4; ++k) sum += row.a[k / 2 * 4 + half * 2 + k % 2] * col.b[k];
    }
    d[i] += sum;
  }
}

inline int lane_id() {
  return emulation::lane();
}

#endif

// Two 16-bit elements in a register, the first in the low half: on a device one instruction converts both.
template <typename T>
__device__ __forceinline__ uint32_t pack2(float low, float high) {
#ifdef __CUDACC__
  const auto pair = Pair<T>::narrow(low, high);
#else
  const T pair[2] = {narrow<T>(low), narrow<T>(high)};
#endif
  uint32_t bits;
  memcpy(&bits, &pair, 4);
  return bits;
}

template <typename T>
__device__ __forceinline__ float2 unpack2(uint32_t bits) {
  T pair[2];
  memcpy(pair, &bits, 4);
  return make_float2(widen(pair[0]), widen(pair[1]));
}

// Over all lanes; every lane gets the result.
__device__ __forceinline__ float warp_sum(float x) {
  for (int bits = kWarp / 2; bits > 0; bits /= 2) x += __shfl_xor_sync(kAllLanes, x, bits);
  return x;
}
__device__ __forceinline__ float warp_max(float x) {
  for (int bits = kWarp / 2; bits > 0; bits /= 2) x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, bits));
  return x;
}

}  // namespace gattling::cuda
