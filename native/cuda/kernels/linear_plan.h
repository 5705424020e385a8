// Which kernel multiplies a shape, and how K is divided. The numbers are for 132 processors (H200); those of an A100
// (108) are near enough.
//
// K is cut into segments, each the chain of additions of one accumulator; kChains segments in a row are added in
// ascending order into a part, and the parts in ascending order into the output. Segments depend on n and k_stride
// only.
#pragma once

#include <algorithm>

#include "cuda/kernels/linear.h"

namespace gattling::cuda {

constexpr int kLinearStep = 64;  // K is divided in multiples of this: a whole line of 128 bytes of a weight row
constexpr int kChains = 8;       // segments of a part: warps of a decode block
constexpr int kDecodeRows = 32;  // past these, x no longer comes out of the first-level cache for free
// Blocks that fill the device: two a processor keep enough loads in flight.
constexpr int kFullGrid = 256;
constexpr int kMaxSplits = 16;
constexpr int kCounters = 2 * kFullGrid;  // output tiles of a launch that splits K

enum class LinearKernel : uint8_t { Decode, Tile64, Tile128 };

struct LinearPlan {
  LinearKernel kernel;
  bool chained;  // segments are summed apart; Tile64 only has the choice, Decode is, Tile128 is not
  int segment;   // of K
  int range;     // of K that a block takes; the others' are parts in the workspace
};

constexpr int ceil_div(int a, int b) {
  return (a + b - 1) / b;
}

// Of a K of `steps` steps, divided into `wanted` ranges of at least `shortest` steps, what a range has.
inline int range_steps(int steps, int wanted, int shortest) {
  const int splits = std::max(1, std::min({wanted, steps / shortest, kMaxSplits}));
  return ceil_div(steps, splits);
}

inline int linear_segment(int n, int k_stride) {
  const int steps = k_stride / kLinearStep;
  // A warp has 128 elements of a row at least, or the sum costs more than the product.
  const int part = range_steps(steps, ceil_div(kFullGrid, ceil_div(n, 16)), 2 * kChains);
  return ceil_div(part, kChains) * kLinearStep;
}

inline LinearPlan plan_linear(int rows, int n, int k_stride, bool deterministic) {
  const int segment = linear_segment(n, k_stride), part = segment * kChains;
  if (rows <= kDecodeRows) return {LinearKernel::Decode, true, segment, part};
  const int tiles = ceil_div(rows, 64) * ceil_div(n, 64);
  if (deterministic) {
    const bool fits = tiles * ceil_div(k_stride, part) <= kFullGrid;
    return {LinearKernel::Tile64, true, segment, fits ? part : k_stride};
  }
  // Larger tiles read less, and want a processor each.
  if (ceil_div(rows, 128) * ceil_div(n, 128) >= kFullGrid / 2)
    return {LinearKernel::Tile128, false, k_stride, k_stride};
  const int range = range_steps(k_stride / kLinearStep, kFullGrid / tiles, 4) * kLinearStep;
  return {LinearKernel::Tile64, false, range, range};
}

// The kernels behind linear(), for those that choose themselves.
void linear(const LinearArgs& args, const LinearPlan& plan, Stream& stream);
void linear_decode(const LinearArgs& args, const LinearPlan& plan, Stream& stream);
void linear_ints(const LinearArgs& args, const LinearPlan& plan, Stream& stream);
void linear_tile(const LinearArgs& args, const LinearPlan& plan, Stream& stream);

}  // namespace gattling::cuda
