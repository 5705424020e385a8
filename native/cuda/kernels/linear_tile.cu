// linear() of many rows. Bound by the tensor cores (2 rows n k operations) from a few hundred rows on: a block
// multiplies 64 x 64 or 128 x 128 outputs, its four warps a quarter each, out of a ring of stages of 64 of K in shared
// memory that cp.async fills (as CUTLASS does on Ampere). A warp of 64 x 64 reads 4 KB of shared memory for 32 products
// of 16 x 8 x 16: half of the time that they take.
//
// Fragments come by ldmatrix. Where K is to be summed as linear_decode.cu does, they are read 16 bytes a lane in its
// order instead, for the price of moves between registers.
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

// Where a chunk of a row lies: eight rows at one chunk (ldmatrix) are in different banks, and so are four chunks of two
// neighbouring rows (a quarter of a warp's loads of 16 bytes).
__device__ __forceinline__ int chunk_place(int row, int chunk) {
  return chunk ^ (row % 2 * 4 + row / 2 % 4);
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
  int arrived;  // of the blocks that share the tile, before this one
};

// kRows rows of which n_rows (1 or more) exist, zeros for the others; `from` is this thread's chunk of the first.
template <typename T, int kRows>
__device__ __forceinline__ void copy_rows(uint4 (&to)[kRows][kChunks], const T* from, int n_rows, int stride) {
  const int thread = static_cast<int>(threadIdx.x), chunk = thread % kChunks, first = thread / kChunks;
  const int place = chunk_place(first, chunk);
  GATTLING_UNROLL
  for (int i = 0; i < kRows; i += kThreads / kChunks) {
    const int row = min(i + first, n_rows - 1) - first;  // none is pointed at that does not exist
    copy_async16(&to[i + first][place], from + static_cast<ptrdiff_t>(stride) * row, i + first < n_rows ? 16 : 0);
  }
}

// Fragments of 16 of K, as mma.sync has them.
template <typename S>
struct Plain {
  uint32_t weight[S::kTiles][4];
  uint32_t x[S::kGroups / 2][4];  // of two groups

  __device__ __forceinline__ void load(const Stage<S>& stage, int output, int row, int step) {
    const int lane = lane_id();
    GATTLING_UNROLL
    for (int i = 0; i < S::kTiles; ++i) {
      const int at = output + 16 * i + lane % 16;
      load_matrices(weight[i], &stage.weight[at][chunk_place(at, 2 * step + lane / 16)]);
    }
    GATTLING_UNROLL
    for (int j = 0; j < S::kGroups / 2; ++j) {
      const int at = row + 16 * j + lane / 16 * 8 + lane % 8;
      load_matrices(x[j], &stage.x[at][chunk_place(at, 2 * step + lane / 8 % 2)]);
    }
  }
};

// The next fragments are under way while products are computed.
template <typename T, typename S>
__device__ __forceinline__ void multiply_plain(Sums<S::kTiles, S::kGroups>& sums, const Stage<S>& stage, int output,
                                               int row) {
  constexpr int kSteps = kLinearStep / 16;
  Plain<S> fragments[2];
  fragments[0].load(stage, output, row, 0);
  GATTLING_UNROLL
  for (int step = 0; step < kSteps; ++step) {
    if (step + 1 < kSteps) fragments[(step + 1) % 2].load(stage, output, row, step + 1);
    const Plain<S>& f = fragments[step % 2];
    GATTLING_UNROLL
    for (int i = 0; i < S::kTiles; ++i) {
      GATTLING_UNROLL
      for (int j = 0; j < S::kGroups; ++j) {
        const uint32_t x[2] = {f.x[j / 2][j % 2 * 2], f.x[j / 2][j % 2 * 2 + 1]};
        multiply<T>(sums.at[i][j], f.weight[i], x);
      }
    }
  }
}

// In the order of linear_multiply.h.
template <typename T, typename S>
__device__ __forceinline__ void multiply_permuted(Sums<S::kTiles, S::kGroups>& sums, const Stage<S>& stage, int output,
                                                  int row) {
  const int g = lane_id() / 4, t = lane_id() % 4;
  GATTLING_UNROLL
  for (int step = 0; step < kLinearStep / 32; ++step) {
    const int chunk = chunk_place(g, 4 * step + t);  // tiles and groups begin at multiples of 8 rows
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
  const int own = static_cast<int>(threadIdx.x) / kChunks, k = first + static_cast<int>(threadIdx.x) % kChunks * 8;
  const T* weight = static_cast<const T*>(a.weight) + static_cast<ptrdiff_t>(place.output + own) * a.k_stride + k;
  const T* x = static_cast<const T*>(a.x) + static_cast<ptrdiff_t>(place.row + own) * a.k_stride + k;
  const auto copy = [&](int step) {
    if (step < n_steps) {
      Stage<S>& stage = memory.stages[step % S::kStages];
      copy_rows(stage.weight, weight + step * kLinearStep, a.n - place.output, a.k_stride);
      copy_rows(stage.x, x + step * kLinearStep, a.rows - place.row, a.k_stride);
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
    const Stage<S>& stage = memory.stages[step % S::kStages];
    if constexpr (kChained)
      multiply_permuted<T>(total.chain, stage, output, row);
    else
      multiply_plain<T>(total.chain, stage, output, row);
    total.stepped();
  }
  __syncthreads();  // the sums overwrite the stages
  memory.sums.put(total.sum(), output, row);
  __syncthreads();
  finish<T, kThreads>(a, memory.sums, place, memory.arrived);
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
