// A row is one block's, or, where rows are few, that of as many blocks as it takes to do it in one go.
// Bound by bandwidth: 4 bytes for each element of q, k and v. Angles are made once a block, in double: at position
// 100,000 an angle in fp32 would be off by a hundredth.
#include "cuda/kernels/rope_append.h"

#include "cuda/device.h"

namespace gattling::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kManyRows = 64;  // from here on rows alone keep a device busy
constexpr int kPairs = 4;      // rotated by a task, so that it moves 8 bytes twice

struct Angles {
  float cosine[128], sine[128];  // [D / 2]
};

template <typename T>
struct Quad {
  uint2 bits;

  __device__ explicit Quad(const T* from) : bits(*reinterpret_cast<const uint2*>(from)) {}
  __device__ Quad(float a, float b, float c, float d) : bits(make_uint2(pack2<T>(a, b), pack2<T>(c, d))) {}
  __device__ void store(T* to) const { *reinterpret_cast<uint2*>(to) = bits; }
  __device__ float4 values() const {
    const float2 low = unpack2<T>(bits.x), high = unpack2<T>(bits.y);
    return {low.x, low.y, high.x, high.y};
  }
};

// Pairs (i, i + half) for i in [first, first + 4), from a head of `from` to one of `to`.
template <typename From, typename To>
__device__ void rotate(const From* from, To* to, int first, int half, const Angles& angles) {
  const float4 x = Quad<From>(from + first).values(), y = Quad<From>(from + first + half).values();
  const float* c = angles.cosine + first;
  const float* s = angles.sine + first;
  Quad<To>(x.x * c[0] - y.x * s[0], x.y * c[1] - y.y * s[1], x.z * c[2] - y.z * s[2], x.w * c[3] - y.w * s[3])
      .store(to + first);
  Quad<To>(y.x * c[0] + x.x * s[0], y.y * c[1] + x.y * s[1], y.z * c[2] + x.z * s[2], y.w * c[3] + x.w * s[3])
      .store(to + first + half);
}

// Tasks of a row: D / 8 a head, each of 8 elements.
template <typename T, typename Cache>
__global__ void __launch_bounds__(kThreads) rope_append_kernel(RopeAppendArgs a) {
  const int row = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x);
  const int slot = a.step.slots[row];
  if (slot < 0) return;
  const PagedCache& cache = a.cache;
  const int d = cache.head_dim, half = d / 2, position = a.step.positions[row];
  Angles& angles = shared<Angles>();
  for (int i = thread; i < half; i += kThreads) {
    constexpr double kTurn = 6.283185307179586;
    const double angle = position * static_cast<double>(a.inv_freq[i]);
    const float reduced = static_cast<float>(angle - kTurn * rint(angle / kTurn));
    sincosf(reduced, &angles.sine[i], &angles.cosine[i]);
  }
  __syncthreads();

  T* qkv = static_cast<T*>(a.qkv) + row * a.stride;
  const int64_t block = cache.block_tables[static_cast<int64_t>(slot) * cache.max_blocks + position / cache.block_size];
  // Of KV head h, key or value.
  const auto cell = [&](int kind, int h) {
    const int64_t head = (block * 2 + kind) * cache.n_kv_heads + h;
    return static_cast<Cache*>(cache.data) + (head * cache.block_size + position % cache.block_size) * d;
  };
  const int n_tasks = (a.n_heads + 2 * cache.n_kv_heads) * (d / 8);
  const int n_threads = kThreads * static_cast<int>(gridDim.y);
  for (int task = static_cast<int>(blockIdx.y) * kThreads + thread; task < n_tasks; task += n_threads) {
    const int head = task / (d / 8), part = task % (d / 8);
    T* from = qkv + head * d;
    if (head < a.n_heads) {
      rotate(from, from, part * kPairs, half, angles);
    } else if (head < a.n_heads + cache.n_kv_heads) {
      rotate(from, cell(0, head - a.n_heads), part * kPairs, half, angles);
    } else {
      Cache* to = cell(1, head - a.n_heads - cache.n_kv_heads) + part * 8;
      for (int i = 0; i < 8; i += 4) {
        const float4 v = Quad<T>(from + part * 8 + i).values();
        Quad<Cache>(v.x, v.y, v.z, v.w).store(to + i);
      }
    }
  }
}

template <typename T, typename Cache>
void run(const RopeAppendArgs& a, Stream& stream) {
  const int n_tasks = (a.n_heads + 2 * a.cache.n_kv_heads) * (a.cache.head_dim / 8);
  const int blocks_a_row = a.rows < kManyRows ? (n_tasks + kThreads - 1) / kThreads : 1;
  launch(rope_append_kernel<T, Cache>, Dim(static_cast<unsigned>(a.rows), static_cast<unsigned>(blocks_a_row)),
         Dim(kThreads), sizeof(Angles), stream, a);
}

template <typename T>
void run_with_cache(const RopeAppendArgs& a, Stream& stream) {
  if (a.cache.half == Half::BF16)
    run<T, BF16>(a, stream);
  else
    run<T, F16>(a, stream);
}

}  // namespace

void rope_append(const RopeAppendArgs& args, Stream& stream) {
  if (args.half == Half::BF16)
    run_with_cache<BF16>(args, stream);
  else
    run_with_cache<F16>(args, stream);
}

}  // namespace gattling::cuda
