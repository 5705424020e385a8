#include "make_backend.h"

#include "backend/error.h"
#include "cpu/cpu_backend.h"
#ifdef GATTLING_HAS_CUDA
#include "cuda/cuda_backend.h"
#endif

namespace gattling {

std::unique_ptr<Backend> make_backend(const std::string& device, const BackendOptions& options) {
  check(device == "auto" || device == "cpu" || device == "cuda", "device is ", device,
        "; it must be auto, cpu or cuda");
#ifdef GATTLING_HAS_CUDA
  if (device == "cuda" || (device == "auto" && has_cuda_device())) return make_cuda_backend(options);
#else
  check(device != "cuda", "device cuda: this build has no CUDA backend; build it with GATTLING_CUDA=on where nvcc is, ",
        "or use --device cpu");
#endif
  return make_cpu_backend(options);
}

}  // namespace gattling
