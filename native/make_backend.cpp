#include "make_backend.h"

#include "backend/error.h"
#include "cpu/cpu_backend.h"

namespace gattling {

std::unique_ptr<Backend> make_backend(const std::string& device, const BackendOptions& options) {
  check(device == "auto" || device == "cpu" || device == "cuda", "device is ", device,
        "; it must be auto, cpu or cuda");
  check(device != "cuda", "device cuda: this build has no CUDA backend; use --device cpu");
  return make_cpu_backend(options);
}

}  // namespace gattling
