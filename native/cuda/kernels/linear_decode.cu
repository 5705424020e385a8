// linear() of up to 32 rows. Bound by bandwidth: 2 n k_stride bytes of weights, each read once, 16 bytes a lane,
// straight into the fragments of the tensor cores; x comes out of the caches.
//
// A block has 16 or 32 outputs and all rows; its warps take a segment of K each and add their sums in order through
// shared memory. Where n gives too few blocks, K is split over blocks as well (linear_plan.h). Source: none; the
// fragments' order is in linear_multiply.h.
#include "cuda/kernels/linear_finish.h"

namespace gattling::cuda {
namespace {

constexpr int kThreads = kChains * kWarp;

// Of kGroups groups of 8 rows. With 32 outputs a block, 32 rows cost as many loads of x as of weights. kAhead steps are
// in flight: 2 or 4 KB of weights a warp, 64 KB and more a processor, twice what its share of 4.8 TB/s needs.
template <int kGroups>
struct Shape {
  static constexpr int kTiles = kGroups < 4 ? 1 : 2;
  static constexpr int kAhead = kGroups < 4 ? 4 : 2;
  static constexpr int kBlocks = kGroups == 1 ? 3 : 2;  // a processor
};

template <int kGroups>
struct Layout {
  SumTile<16 * Shape<kGroups>::kTiles, 8 * kGroups> warps[kChains];
  int arrived;  // of the blocks that share the tile, before this one
};

// Where a lane's rows of weight and x are, at its first element of a segment, in elements from the block's first row:
// 32-bit offsets, since pointers take the registers of the fragments. Rows past the end are the last one again: their
// sums go nowhere.
template <typename T, int kTiles, int kGroups>
struct Cursor {
  const T* weight;
  const T* x;
  int weight_at[kTiles][2];
  int x_at[kGroups];

  __device__ __forceinline__ Cursor(const LinearArgs& a, int first_output, int k)
      : weight(static_cast<const T*>(a.weight) + static_cast<size_t>(first_output) * a.k_stride),
        x(static_cast<const T*>(a.x)) {
    const int g = lane_id() / 4, t = lane_id() % 4;
    GATTLING_UNROLL
    for (int i = 0; i < 2 * kTiles; ++i)
      weight_at[i / 2][i % 2] = min(8 * i + g, a.n - 1 - first_output) * a.k_stride + k + 8 * t;
    GATTLING_UNROLL
    for (int j = 0; j < kGroups; ++j) x_at[j] = min(8 * j + g, a.rows - 1) * a.k_stride + k + 8 * t;
  }

  __device__ __forceinline__ void load(Fragments<kTiles, kGroups>& f, int step) const {
    GATTLING_UNROLL
    for (int i = 0; i < 2 * kTiles; ++i)
      f.weight[i / 2][i % 2] = load_once(weight + (weight_at[i / 2][i % 2] + 32 * step));
    GATTLING_UNROLL
    for (int j = 0; j < kGroups; ++j) f.x[j] = *reinterpret_cast<const uint4*>(x + (x_at[j] + 32 * step));
  }
};

template <typename T, int kTiles, int kGroups, int kAhead>
__device__ __forceinline__ void multiply_segment(Sums<kTiles, kGroups>& sums, const Cursor<T, kTiles, kGroups>& from,
                                                 int n_steps) {
  Fragments<kTiles, kGroups> ring[kAhead];
  GATTLING_UNROLL
  for (int i = 0; i < kAhead; ++i)
    if (i < n_steps) from.load(ring[i], i);
  for (int step = 0; step < n_steps; step += kAhead) {
    GATTLING_UNROLL
    for (int i = 0; i < kAhead; ++i) {
      if (step + i >= n_steps) break;
      multiply_step<T>(sums, ring[i]);
      if (step + i + kAhead < n_steps) from.load(ring[i], step + i + kAhead);
    }
  }
}

template <typename T, int kGroups>
__global__ void __launch_bounds__(kThreads, Shape<kGroups>::kBlocks) decode_kernel(LinearArgs a, int segment) {
  using S = Shape<kGroups>;
  using Tile = SumTile<16 * S::kTiles, 8 * kGroups>;
  Layout<kGroups>& memory = shared<Layout<kGroups>>();
  const int thread = static_cast<int>(threadIdx.x), warp = thread / kWarp;
  const int first = static_cast<int>(blockIdx.x) * Tile::kOutputs;
  const int k = min((static_cast<int>(blockIdx.z) * kChains + warp) * segment, a.k_stride);

  Sums<S::kTiles, kGroups> sums;
  sums.clear();
  multiply_segment<T, S::kTiles, kGroups, S::kAhead>(sums, Cursor<T, S::kTiles, kGroups>(a, first, k),
                                                     min(segment, a.k_stride - k) / 32);
  memory.warps[warp].put(sums, 0, 0);
  __syncthreads();
  for (int i = thread; i < Tile::kOutputs * Tile::kRows; i += kThreads) {
    const int row = i / Tile::kOutputs, output = i % Tile::kOutputs;
    float sum = memory.warps[0].at[row][output];
    for (int w = 1; w < kChains; ++w) sum += memory.warps[w].at[row][output];
    memory.warps[0].at[row][output] = sum;
  }
  __syncthreads();
  const TilePlace place = {first, 0, static_cast<int>(blockIdx.x), static_cast<int>(gridDim.x)};
  finish<T, kThreads>(a, memory.warps[0], place, memory.arrived);
}

template <typename T, int kGroups>
void run(const LinearArgs& a, const LinearPlan& plan, Stream& stream) {
  const Dim grid(static_cast<unsigned>(ceil_div(a.n, 16 * Shape<kGroups>::kTiles)), 1,
                 static_cast<unsigned>(ceil_div(a.k_stride, plan.range)));
  launch(decode_kernel<T, kGroups>, grid, Dim(kThreads), sizeof(Layout<kGroups>), stream, a, plan.segment);
}

template <typename T>
void run(const LinearArgs& a, const LinearPlan& plan, Stream& stream) {
  if (a.rows <= 8)
    run<T, 1>(a, plan, stream);
  else if (a.rows <= 16)
    run<T, 2>(a, plan, stream);
  else
    run<T, 4>(a, plan, stream);
}

}  // namespace

void linear_decode(const LinearArgs& args, const LinearPlan& plan, Stream& stream) {
  if (args.half == Half::BF16)
    run<BF16>(args, plan, stream);
  else
    run<F16>(args, plan, stream);
}

}  // namespace gattling::cuda
