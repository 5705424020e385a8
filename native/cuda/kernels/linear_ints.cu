// linear() with weights of 8- or 4-bit integers, and their widening for the kernels that take plain ones. Up to 32 rows
// are bound by bandwidth, as linear_decode.cu is: n k_stride bytes (half of that for 4 bits) and the scales, read once,
// 16 (8) bytes a lane in the order of linear_multiply.h. What they are made of takes 3.5 instructions a weight: bits to
// a float of 2^23 and more, minus that and the zero, times the scale, and half of a conversion.
//
// A weight is scale * q, rounded, plus offset, rounded, and rounded to the type of the arithmetic: the bits that the
// dequantised weight has when it is packed.
#include "cuda/kernels/linear_decode.h"

namespace gattling::cuda {
namespace {

// Four (two) of a lane's registers: rows g and g + 8 of a tile, elements 8t .. 8t + 7 of a step.
template <int kBits>
struct Words;
template <>
struct Words<8> {
  uint4 q;
  __device__ __forceinline__ void load(const void* from, int index) {
    q = load_once(static_cast<const uint4*>(from) + index);
  }
  // Element i of row `half`, with its zero.
  __device__ __forceinline__ uint32_t at(int half, int i) const {
    const uint32_t word = half == 0 ? (i < 4 ? q.x : q.y) : (i < 4 ? q.z : q.w);
    return word >> i % 4 * 8 & 255u;
  }
};
template <>
struct Words<4> {
  uint2 q;
  __device__ __forceinline__ void load(const void* from, int index) { q = *(static_cast<const uint2*>(from) + index); }
  __device__ __forceinline__ uint32_t at(int half, int i) const { return (half == 0 ? q.x : q.y) >> i * 4 & 15u; }
};

// Scales (and offsets) of rows g and g + 8.
template <bool kWide>
struct Planes;
template <>
struct Planes<false> {
  uint32_t scales;
  __device__ __forceinline__ void load(const LinearInts& w, int index) {
    scales = static_cast<const uint32_t*>(w.scales)[index];
  }
  __device__ __forceinline__ float2 scale() const { return unpack2<F16>(scales); }
  __device__ __forceinline__ float2 offset() const { return make_float2(0, 0); }
};
template <>
struct Planes<true> {
  float2 scales, offsets;
  __device__ __forceinline__ void load(const LinearInts& w, int index) {
    scales = static_cast<const float2*>(w.scales)[index];
    offsets = reinterpret_cast<const float2*>(w.offsets)[index];
  }
  __device__ __forceinline__ float2 scale() const { return scales; }
  __device__ __forceinline__ float2 offset() const { return offsets; }
};

template <int kBits, bool kWide>
struct Ints {
  template <typename T, int kTiles>
  struct Cursor {
    struct Held {
      Words<kBits> words[kTiles];
      Planes<kWide> planes[kTiles];
    };
    LinearInts w;
    int k;                // of this lane
    int word_at[kTiles];  // in Words
    int plane_at[kTiles];

    // Tiles past the last are the last one again: their sums go nowhere.
    __device__ __forceinline__ Cursor(const LinearArgs& a, int first_output, int first_k)
        : w(a.ints), k(first_k + lane_id() % 4 * 8) {
      const int steps = a.k_stride / 32, groups = ((a.k_stride - 1) >> w.group_shift) + 1;
      GATTLING_UNROLL
      for (int i = 0; i < kTiles; ++i) {
        const int tile = min(first_output / 16 + i, (a.n - 1) / 16);
        word_at[i] = (tile * steps + first_k / 32) * kWarp + lane_id();
        plane_at[i] = tile * groups * 8 + lane_id() / 4;
      }
    }

    __device__ __forceinline__ void load(Held& held, int step) const {
      const int group = (k + 32 * step) >> w.group_shift;
      GATTLING_UNROLL
      for (int i = 0; i < kTiles; ++i) {
        held.words[i].load(w.q, word_at[i] + step * kWarp);
        held.planes[i].load(w, plane_at[i] + group * 8);
      }
    }

    __device__ __forceinline__ void fragments(const Held& held, uint4 (&out)[kTiles][2]) const {
      GATTLING_UNROLL
      for (int i = 0; i < kTiles; ++i) {
        const float2 scale = held.planes[i].scale(), offset = held.planes[i].offset();
        out[i][0] = widened(held.words[i], 0, scale.x, offset.x);
        out[i][1] = widened(held.words[i], 1, scale.y, offset.y);
      }
    }

    static __device__ __forceinline__ uint4 widened(const Words<kBits>& words, int half, float scale, float offset) {
      constexpr float kZero = kBits == 8 ? 128 : 8;
      float v[8];
      GATTLING_UNROLL
      for (int i = 0; i < 8; ++i) {
        const float q = __uint_as_float(0x4b000000u | words.at(half, i)) - (0x1p23f + kZero);
        v[i] = kWide ? __fadd_rn(__fmul_rn(scale, q), offset) : scale * q;
      }
      return make_uint4(pack2<T>(v[0], v[1]), pack2<T>(v[2], v[3]), pack2<T>(v[4], v[5]), pack2<T>(v[6], v[7]));
    }
  };
};

constexpr int kWidenWarps = 8;

// A warp widens 32 of K of a tile of 16 rows.
template <typename T, typename Weights>
__global__ void __launch_bounds__(kWidenWarps* kWarp) widen_kernel(LinearArgs a, T* out) {
  using Cursor = typename Weights::template Cursor<T, 1>;
  const int steps = a.k_stride / 32;
  const int index = static_cast<int>(blockIdx.x) * kWidenWarps + static_cast<int>(threadIdx.x) / kWarp;
  const int first = index / steps * 16, k = index % steps * 32;
  if (first >= a.n) return;
  const Cursor from(a, first, k);
  typename Cursor::Held held;
  uint4 rows[1][2];
  from.load(held, 0);
  from.fragments(held, rows);
  GATTLING_UNROLL
  for (int half = 0; half < 2; ++half) {
    const int row = first + 8 * half + lane_id() / 4;
    if (row < a.n)
      *reinterpret_cast<uint4*>(out + static_cast<size_t>(row) * a.k_stride + k + lane_id() % 4 * 8) = rows[0][half];
  }
}

// call(Ints<..>()) for the form of the arguments.
template <typename F>
void with_form(const LinearInts& w, const F& call) {
  if (w.bits == 8)
    w.offsets ? call(Ints<8, true>()) : call(Ints<8, false>());
  else
    w.offsets ? call(Ints<4, true>()) : call(Ints<4, false>());
}

template <typename T>
void widen(const LinearArgs& a, void* out, Stream& stream) {
  const int warps = ceil_div(a.n, 16) * (a.k_stride / 32);
  with_form(a.ints, [&](auto form) {
    launch(widen_kernel<T, decltype(form)>, Dim(static_cast<unsigned>(ceil_div(warps, kWidenWarps))),
           Dim(kWidenWarps * kWarp), 0, stream, a, static_cast<T*>(out));
  });
}

}  // namespace

void linear_ints(const LinearArgs& args, const LinearPlan& plan, Stream& stream) {
  with_form(args.ints, [&](auto form) {
    if (args.half == Half::BF16)
      run_decode<decltype(form), BF16>(args, plan, stream);
    else
      run_decode<decltype(form), F16>(args, plan, stream);
  });
}

void widen_ints(const LinearArgs& args, void* out, Stream& stream) {
  if (args.half == Half::BF16)
    widen<BF16>(args, out, stream);
  else
    widen<F16>(args, out, stream);
}

}  // namespace gattling::cuda
