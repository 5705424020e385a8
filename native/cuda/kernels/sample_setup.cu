// A block a slot that a sequence moves into: its parameters, and a count for each token of the vocabulary if it has
// penalties. Bound by writing those counts, 4 bytes a token. No source.
#include "cuda/device.h"
#include "cuda/kernels/sample.h"

namespace gattling::cuda {
namespace {

constexpr int kThreads = 256;

__device__ void count_tokens(uint32_t* counts, int64_t n, const int32_t* tokens, int n_tokens, int n_prompt) {
  const int thread = static_cast<int>(threadIdx.x);
  for (int64_t i = thread; i < n; i += kThreads) counts[i] = 0;
  __syncthreads();
  for (int i = thread; i < n_tokens; i += kThreads) {
    if (i < n_prompt)
      atomicOr(&counts[tokens[i]], kSeenInPrompt);
    else
      atomicAdd(&counts[tokens[i]], 1u);
  }
}

__global__ void __launch_bounds__(kThreads) setup_kernel(const std::byte* upload, SlotSampling* slots,
                                                         int32_t* last_tokens, uint32_t* counts, int64_t row_size) {
  const SlotSetup& setup = reinterpret_cast<const SlotSetup*>(upload)[blockIdx.x];
  const SlotSampling& sampling = setup.sampling;
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0) {
    slots[setup.slot] = sampling;
    last_tokens[setup.slot] = setup.last_token;
  }
  const auto* bias = reinterpret_cast<const LogitBias*>(upload + setup.bias);
  for (int i = thread; i < sampling.n_bias; i += kThreads) sampling.bias[i] = bias[i];
  const auto* stops = reinterpret_cast<const int32_t*>(upload + setup.stops);
  for (int i = thread; i < sampling.n_stops; i += kThreads) sampling.stops[i] = stops[i];
  if (sampling.penalises)
    count_tokens(counts + setup.slot * row_size, row_size, reinterpret_cast<const int32_t*>(upload + setup.tokens),
                 setup.n_tokens, sampling.n_prompt);
}

}  // namespace

void sample_setup(const std::byte* upload, int n, SlotSampling* slots, int32_t* last_tokens, uint32_t* counts,
                  int64_t row_size, Stream& stream) {
  launch(setup_kernel, Dim(static_cast<unsigned>(n)), Dim(kThreads), 0, stream, upload, slots, last_tokens, counts,
         row_size);
}

}  // namespace gattling::cuda
