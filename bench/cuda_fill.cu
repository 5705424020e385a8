#include "cuda_fill.h"

#include "cuda/device.h"

namespace bench {
namespace {

using namespace gattling::cuda;

constexpr int kThreads = 256;
constexpr unsigned kMaxBlocks = 4096;

__device__ __forceinline__ float uniform(uint32_t seed, size_t index) {
  // A finalizer of MurmurHash3 (public domain, Appleby).
  uint32_t x = static_cast<uint32_t>(index) * 0x9e3779b9u + static_cast<uint32_t>(index >> 32) * 0x85ebca6bu + seed;
  x = (x ^ x >> 16) * 0x85ebca6bu;
  x = (x ^ x >> 13) * 0xc2b2ae35u;
  x ^= x >> 16;
  return static_cast<float>(x >> 8) * (2.0f / 16777216.0f) - 1.0f;
}

template <typename T>
__global__ void __launch_bounds__(kThreads) fill_kernel(uint4* to, size_t n, float scale, uint32_t seed) {
  constexpr size_t kPiece = sizeof(uint4) / sizeof(T);
  const size_t step = static_cast<size_t>(gridDim.x) * kThreads;
  for (size_t i = blockIdx.x * static_cast<size_t>(kThreads) + threadIdx.x; i < n; i += step) {
    T values[kPiece];
    for (size_t j = 0; j < kPiece; ++j) values[j] = narrow<T>(uniform(seed, i * kPiece + j) * scale);
    memcpy(to + i, values, sizeof(uint4));
  }
}

constexpr int kCopies = 4;  // loads in flight for each thread

__global__ void __launch_bounds__(kThreads) copy_kernel(uint4* to, const uint4* from, size_t n) {
  const size_t step = static_cast<size_t>(gridDim.x) * kThreads * kCopies;
  for (size_t i = blockIdx.x * static_cast<size_t>(kThreads * kCopies) + threadIdx.x; i < n; i += step) {
    uint4 values[kCopies];
    for (int j = 0; j < kCopies; ++j)
      if (i + j * kThreads < n) values[j] = load_once(from + i + j * kThreads);
    for (int j = 0; j < kCopies; ++j)
      if (i + j * kThreads < n) to[i + j * kThreads] = values[j];
  }
}

Dim blocks_of(size_t n) {
  const size_t wanted = (n + kThreads - 1) / kThreads;
  return Dim(wanted < kMaxBlocks ? static_cast<unsigned>(wanted) : kMaxBlocks);
}

template <typename T>
void fill(void* to, size_t n, float scale, uint32_t seed, Stream& stream) {
  const size_t pieces = n * sizeof(T) / sizeof(uint4);
  launch(fill_kernel<T>, blocks_of(pieces), Dim(kThreads), 0, stream, static_cast<uint4*>(to), pieces, scale, seed);
}

}  // namespace

void fill_half(void* to, size_t n, Half half, float scale, uint32_t seed, Stream& stream) {
  if (half == Half::BF16)
    fill<BF16>(to, n, scale, seed, stream);
  else
    fill<F16>(to, n, scale, seed, stream);
}

void fill_float(float* to, size_t n, float scale, uint32_t seed, Stream& stream) {
  fill<float>(to, n, scale, seed, stream);
}

void copy(void* to, const void* from, size_t bytes, int n_processors, Stream& stream) {
  const size_t n = bytes / sizeof(uint4), wanted = (n + kThreads * kCopies - 1) / (kThreads * kCopies);
  const size_t most = static_cast<size_t>(n_processors) * (2048 / kThreads) * 4;
  launch(copy_kernel, Dim(static_cast<unsigned>(wanted < most ? wanted : most)), Dim(kThreads), 0, stream,
         static_cast<uint4*>(to), static_cast<const uint4*>(from), n);
}

}  // namespace bench
