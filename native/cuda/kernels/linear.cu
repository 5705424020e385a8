// Chooses the kernel. A linear layer of few rows is bound by reading the weight once (linear_decode.cu), one of many by
// the tensor cores (linear_tile.cu).
#include <cassert>

#include "cuda/kernels/linear_plan.h"

namespace gattling::cuda {

void linear(const LinearArgs& args, const LinearPlan& plan, Stream& stream) {
  assert(args.k_stride % kLinearStep == 0 && args.out_stride % 64 == 0);
  assert(!args.swiglu || args.n % 16 == 0);
  assert(plan.range >= args.k_stride || args.workspace_bytes >= kLinearWorkspace);
  if (args.ints.q != nullptr) {
    assert(plan.kernel == LinearKernel::Decode);
    linear_ints(args, plan, stream);
  } else if (plan.kernel == LinearKernel::Decode)
    linear_decode(args, plan, stream);
  else
    linear_tile(args, plan, stream);
}

void linear(const LinearArgs& args, Stream& stream) {
  linear(args, plan_linear(args.rows, args.n, args.k_stride, args.deterministic), stream);
}

}  // namespace gattling::cuda
