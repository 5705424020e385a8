// One block a row. Bound by bandwidth: reads the residual (4 bytes an element) and the delta (2), writes both back (6).
#include "cuda/kernels/rmsnorm.h"

#include "cuda/device.h"

namespace gattling::cuda {
namespace {

constexpr int kThreads = 256;

struct Partial {
  float sums[kThreads / kWarp];
};

template <typename T>
__global__ void __launch_bounds__(kThreads)
    rmsnorm_kernel(float* residual, const T* delta, const float* scale, T* out, int n, int stride, float eps) {
  const size_t row = static_cast<size_t>(blockIdx.x) * stride;
  const int thread = static_cast<int>(threadIdx.x);
  float squares = 0;
  for (int i = thread; i < n; i += kThreads) {
    float x = residual[row + i];
    if (delta != nullptr) residual[row + i] = x += widen(delta[row + i]);
    squares += x * x;
  }
  Partial& partial = shared<Partial>();
  squares = warp_sum(squares);
  if (lane_id() == 0) partial.sums[thread / kWarp] = squares;
  __syncthreads();
  float total = 0;
  for (float sum : partial.sums) total += sum;
  const float inverse = rsqrtf(total / static_cast<float>(n) + eps);
  for (int i = thread; i < n; i += kThreads) out[row + i] = narrow<T>(residual[row + i] * inverse * scale[i]);
}

template <typename T>
void run(const RmsNormArgs& a, Stream& stream) {
  launch(rmsnorm_kernel<T>, Dim(static_cast<unsigned>(a.rows)), Dim(kThreads), sizeof(Partial), stream, a.residual,
         static_cast<const T*>(a.delta), a.scale, static_cast<T*>(a.out), a.n, a.stride, a.eps);
}

}  // namespace

void rmsnorm(const RmsNormArgs& args, Stream& stream) {
  if (args.half == Half::BF16)
    run<BF16>(args, stream);
  else
    run<F16>(args, stream);
}

}  // namespace gattling::cuda
