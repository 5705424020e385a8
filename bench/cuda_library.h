// NVIDIA's own matmul, cuBLASLt, when it is found at run time: the yardstick of ours. Nothing of it is needed to build.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "cuda/kernels/common.h"

namespace bench {

// out [m, n] = x [m, k] * weight [n, k]^T, all of one 16-bit type, accumulated in fp32.
class LibraryMatmul {
 public:
  // Null where there is no cuBLASLt: in CUBLAS_ROOT, by the loader's path, in the toolkit, in pip's nvidia folders.
  static std::unique_ptr<LibraryMatmul> find();
  virtual ~LibraryMatmul() = default;

  virtual const std::string& name() const = 0;  // with its version
  // Asks for ways to multiply a shape, best first by the library's own guess; how many it gave.
  virtual int prepare(int m, int n, int k, gattling::cuda::Half half) = 0;
  virtual void run(int way, void* out, const void* x, const void* weight, gattling::cuda::Stream& stream) = 0;
};

}  // namespace bench
