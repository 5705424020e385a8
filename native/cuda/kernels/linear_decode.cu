// linear() of up to 32 rows. Bound by bandwidth: 2 n k_stride bytes of weights, each read once, 16 bytes a lane,
// straight into the fragments of the tensor cores; x comes out of the caches. The kernel is in linear_decode.h.
#include "cuda/kernels/linear_decode.h"

namespace gattling::cuda {
namespace {

struct Plain {
  // Offsets in elements from the block's first row. Rows past the end are the last one again.
  template <typename T, int kTiles>
  struct Cursor {
    struct Held {
      uint4 weight[kTiles][2];
    };
    const T* weight;
    int at[kTiles][2];

    __device__ __forceinline__ Cursor(const LinearArgs& a, int first_output, int k)
        : weight(static_cast<const T*>(a.weight) + static_cast<size_t>(first_output) * a.k_stride) {
      const int g = lane_id() / 4, t = lane_id() % 4;
      GATTLING_UNROLL
      for (int i = 0; i < 2 * kTiles; ++i)
        at[i / 2][i % 2] = min(8 * i + g, a.n - 1 - first_output) * a.k_stride + k + 8 * t;
    }

    __device__ __forceinline__ void load(Held& held, int step) const {
      GATTLING_UNROLL
      for (int i = 0; i < 2 * kTiles; ++i)
        held.weight[i / 2][i % 2] = load_once(weight + (at[i / 2][i % 2] + 32 * step));
    }

    __device__ __forceinline__ void fragments(const Held& held, uint4 (&out)[kTiles][2]) const {
      GATTLING_UNROLL
      for (int i = 0; i < 2 * kTiles; ++i) out[i / 2][i % 2] = held.weight[i / 2][i % 2];
    }
  };
};

}  // namespace

void linear_decode(const LinearArgs& args, const LinearPlan& plan, Stream& stream) {
  if (args.half == Half::BF16)
    run_decode<Plain, BF16>(args, plan, stream);
  else
    run_decode<Plain, F16>(args, plan, stream);
}

}  // namespace gattling::cuda
