// A thread a row and a thread a table entry. A few kilobytes: bound by the launch.
#include "cuda/kernels/prepare.h"

#include "cuda/device.h"

namespace gattling::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads) prepare_kernel(PrepareArgs a) {
  const int i = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (i < a.n_entries) a.block_tables[a.entries[i].index] = a.entries[i].block;
  if (i >= a.bucket) return;
  const bool is_row = i < a.n_rows;
  const int32_t slot = is_row ? a.slots_in[i] : -1;
  const int32_t token = is_row ? a.tokens_in[i] : 0;
  a.slots[i] = slot;
  a.positions[i] = is_row ? a.positions_in[i] : 0;
  a.tokens[i] = token < 0 ? a.last_tokens[slot] : token;
}

}  // namespace

void prepare(const PrepareArgs& args, Stream& stream) {
  const int n = args.bucket > args.n_entries ? args.bucket : args.n_entries;
  if (n == 0) return;
  launch(prepare_kernel, Dim(static_cast<unsigned>((n + kThreads - 1) / kThreads)), Dim(kThreads), 0, stream, args);
}

}  // namespace gattling::cuda
