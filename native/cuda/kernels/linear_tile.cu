// linear() of many rows. Bound by the tensor cores (2 rows n k operations) from a few hundred rows on: a block
// multiplies 64 x 64 or 128 x 128 outputs, its four warps a quarter each, out of a ring of stages of 64 of K in shared
// memory that cp.async fills (as CUTLASS does on Ampere). A warp of 64 x 64 reads 16 KB of shared memory for 64
// products of 16 x 8 x 16 twice, half of the time that they take.
//
// Fragments are read 16 bytes a lane, which costs what ldmatrix does and gives the order of K that linear_decode.cu
// has.
#include "cuda/kernels/linear_finish.h"

namespace gattling::cuda {
namespace {

constexpr int kThreads = 4 * kWarp;
constexpr int kChunks = kLinearStep / 8;  // of 16 bytes, of a row in a stage

// A warp's kTiles tiles of 16 outputs and kGroups groups of 8 rows; blocks have two by two.
template <int kTiles_, int kGroups_, int kStages_, int kBlocks_>
struct Shape {
  static constexpr int kTiles = kTiles_, kGroups = kGroups_, kStages = kStages_;
  static constexpr int kBlocks = kBlocks_;  // a processor, as shared memory allows
  static constexpr int kOutputs = 32 * kTiles, kRows = 16 * kGroups;
};
using Small = Shape<2, 4, 4, 3>;
using Large = Shape<4, 8, 3, 2>;

// Chunk c of row r lies at c ^ 4 (r % 2): eight lanes read four chunks of two rows at once, and so from all banks.
__device__ __forceinline__ int chunk_place(int row, int chunk) {
  return chunk ^ (row % 2 * 4);
}

template <typename S>
struct Stage {
  uint4 weight[S::kOutputs][kChunks];
  uint4 x[S::kRows][kChunks];
};

template <typename S>
struct Layout {
  union {
    Stage<S> stages[S::kStages];
    SumTile<S::kOutputs, S::kRows> sums;
  };
  int last;
};

// Rows [first, first + kRows) at column k; zeros for those past the last.
template <typename T, int kRows>
__device__ __forceinline__ void copy_rows(uint4 (&to)[kRows][kChunks], const void* from, int first, int n_rows,
                                          int stride, int k) {
  const int thread = static_cast<int>(threadIdx.x), chunk = thread % kChunks;
  GATTLING_UNROLL
  for (int i = 0; i < kRows; i += kThreads / kChunks) {
    const int row = i + thread / kChunks;
    const bool exists = first + row < n_rows;
    const size_t at = static_cast<size_t>(exists ? first + row : 0) * stride + k + 8 * chunk;
    copy_async16(&to[row][chunk_place(row, chunk)], static_cast<const T*>(from) + at, exists ? 16 : 0);
  }
}

template <typename T, typename S>
__device__ __forceinline__ void multiply_stage(Sums<S::kTiles, S::kGroups>& sums, const Stage<S>& stage, int output,
                                               int row) {
  const int g = lane_id() / 4, t = lane_id() % 4;
  GATTLING_UNROLL
  for (int step = 0; step < 2; ++step) {
    const int chunk = chunk_place(g, 4 * step + t);  // tiles and groups begin at even rows
    Fragments<S::kTiles, S::kGroups> f;
    GATTLING_UNROLL
    for (int i = 0; i < 2 * S::kTiles; ++i) f.weight[i / 2][i % 2] = stage.weight[output + 8 * i + g][chunk];
    GATTLING_UNROLL
    for (int j = 0; j < S::kGroups; ++j) f.x[j] = stage.x[row + 8 * j + g][chunk];
    multiply_step<T>(sums, f);
  }
}

// The sums of a block's range of K: one chain.
template <typename S, bool kChained>
struct Total {
  Sums<S::kTiles, S::kGroups> chain;

  __device__ __forceinline__ explicit Total(int) { chain.clear(); }
  __device__ __forceinline__ void stepped() {}
  __device__ __forceinline__ const Sums<S::kTiles, S::kGroups>& sum() { return chain; }
};

// Or the chains of linear_plan.h, each `segment` long.
template <typename S>
struct Total<S, true> {
  Sums<S::kTiles, S::kGroups> chain, part, all;
  int n_steps, left, n_chains = 0;

  __device__ __forceinline__ explicit Total(int segment) : n_steps(segment / kLinearStep), left(n_steps) {
    chain.clear();
    part.clear();
    all.clear();
  }
  __device__ __forceinline__ void stepped() {
    if (--left > 0) return;
    left = n_steps;
    part.add(chain);
    chain.clear();
    if (++n_chains < kChains) return;
    n_chains = 0;
    all.add(part);
    part.clear();
  }
  __device__ __forceinline__ const Sums<S::kTiles, S::kGroups>& sum() {
    part.add(chain);
    all.add(part);
    return all;
  }
};

template <typename T, typename S, bool kChained>
__global__ void __launch_bounds__(kThreads, S::kBlocks) tile_kernel(LinearArgs a, int segment, int range) {
  Layout<S>& memory = shared<Layout<S>>();
  // Row tiles are next to each other, so that a tile of weights comes from memory once.
  const int index = static_cast<int>(blockIdx.y * gridDim.x + blockIdx.x);
  const TilePlace place = {static_cast<int>(blockIdx.y) * S::kOutputs, static_cast<int>(blockIdx.x) * S::kRows, index,
                           static_cast<int>(gridDim.x * gridDim.y)};
  const int first = static_cast<int>(blockIdx.z) * range;
  const int n_steps = min(range, a.k_stride - first) / kLinearStep;
  const auto copy = [&](int step) {
    if (step < n_steps) {
      Stage<S>& stage = memory.stages[step % S::kStages];
      const int k = first + step * kLinearStep;
      copy_rows<T>(stage.weight, a.weight, place.output, a.n, a.k_stride, k);
      copy_rows<T>(stage.x, a.x, place.row, a.rows, a.k_stride, k);
    }
    copy_commit();
  };
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int output = warp / 2 * (S::kOutputs / 2), row = warp % 2 * (S::kRows / 2);

  Total<S, kChained> total(segment);
  GATTLING_UNROLL
  for (int step = 0; step < S::kStages - 1; ++step) copy(step);
  for (int step = 0; step < n_steps; ++step) {
    copy_wait<S::kStages - 2>();
    __syncthreads();  // others' copies have landed, and nobody reads the stage that is filled next
    copy(step + S::kStages - 1);
    multiply_stage<T>(total.chain, memory.stages[step % S::kStages], output, row);
    total.stepped();
  }
  __syncthreads();  // the sums overwrite the stages
  memory.sums.put(total.sum(), output, row);
  __syncthreads();
  finish<T, kThreads>(a, memory.sums, place, memory.last);
}

template <typename T, typename S, bool kChained>
void run(const LinearArgs& a, const LinearPlan& plan, Stream& stream) {
  const Dim grid(static_cast<unsigned>(ceil_div(a.rows, S::kRows)), static_cast<unsigned>(ceil_div(a.n, S::kOutputs)),
                 static_cast<unsigned>(ceil_div(a.k_stride, plan.range)));
  launch(tile_kernel<T, S, kChained>, grid, Dim(kThreads), sizeof(Layout<S>), stream, a, plan.segment, plan.range);
}

template <typename T>
void run(const LinearArgs& a, const LinearPlan& plan, Stream& stream) {
  if (plan.kernel == LinearKernel::Tile128)
    run<T, Large, false>(a, plan, stream);
  else if (plan.chained)
    run<T, Small, true>(a, plan, stream);
  else
    run<T, Small, false>(a, plan, stream);
}

}  // namespace

void linear_tile(const LinearArgs& args, const LinearPlan& plan, Stream& stream) {
  if (args.half == Half::BF16)
    run<BF16>(args, plan, stream);
  else
    run<F16>(args, plan, stream);
}

}  // namespace gattling::cuda
