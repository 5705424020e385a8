#include "cuda/library_linear.h"

#include <algorithm>

namespace gattling::cuda {
namespace {

// Rows are rounded up, so that prompts of all lengths need few shapes.
constexpr int kBucket = 64;

}  // namespace

bool LibraryLinear::wants(const LinearArgs& args) const {
  return library_ && args.rows >= kLibraryRows && args.bias == nullptr && !args.swiglu && !args.deterministic;
}

bool LibraryLinear::run(const LinearArgs& args, int capacity, Stream& stream) {
  const int rows = std::min((args.rows + kBucket - 1) / kBucket * kBucket, capacity);
  const MatmulShape shape = {rows,          args.n,          args.k_stride, args.k_stride,
                             args.k_stride, args.out_stride, args.half,     args.out_fp32};
  std::unique_ptr<CublasLt::Matmul>& matmul = shapes_[shape];
  if (matmul == nullptr) matmul = library_->prepare(shape, 1);
  if (matmul->n_ways() == 0) return false;
  matmul->run(0, args.out, args.x, args.weight, stream);
  return true;
}

}  // namespace gattling::cuda
