// NVIDIA's own matmul, cuBLASLt, when it is found at run time. Nothing of it is needed to build: cublaslt.cpp declares
// what it calls.
#pragma once

#include <compare>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "cuda/kernels/common.h"

namespace gattling::cuda {

// out [rows, n] = x [rows, k] * weight [n, k]^T, accumulated in fp32. Strides are elements from a row to the next.
struct MatmulShape {
  int rows, n, k;
  int x_stride, weight_stride, out_stride;
  Half half;      // of x and weight
  bool out_fp32;  // else out is of `half`

  auto operator<=>(const MatmulShape&) const = default;
};

class CublasLt {
 public:
  // A shape as the library wants it told, and the ways it knows to multiply that, best first by its own guess.
  class Matmul {
   public:
    virtual ~Matmul() = default;
    virtual int n_ways() const = 0;
    virtual void run(int way, void* out, const void* x, const void* weight, Stream& stream) const = 0;
  };

  // The library, from CUBLAS_ROOT when that is set: then it must be there, and an Error says why it cannot be used.
  // Otherwise from the loader's path, the toolkit, pip's nvidia folders; null where none of them has one.
  static std::unique_ptr<CublasLt> find();
  virtual ~CublasLt() = default;

  virtual const std::string& name() const = 0;  // with its version
  // Outlives no library. A shape that the library has nothing for gets no ways.
  virtual std::unique_ptr<Matmul> prepare(const MatmulShape& shape, int max_ways) = 0;
};

}  // namespace gattling::cuda
