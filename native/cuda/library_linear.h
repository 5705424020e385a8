// Large matmuls by cuBLASLt, where it is found: it is tuned for each GPU, and our own kernels win where few rows stream
// a weight.
#pragma once

#include <map>
#include <memory>

#include "cuda/cublaslt.h"
#include "cuda/kernels/linear.h"

namespace gattling::cuda {

// Rows from which on a matmul is bound by arithmetic on every GPU that has tensor cores; chosen by that, not measured.
constexpr int kLibraryRows = 128;

class LibraryLinear {
 public:
  // Null: everything is the caller's.
  explicit LibraryLinear(std::unique_ptr<CublasLt> library) : library_(std::move(library)) {}

  // Null without a library.
  const std::string* name() const { return library_ ? &library_->name() : nullptr; }
  // Whether run() will try: many rows, no bias, no fused SwiGLU, and bits that may depend on the rows.
  bool wants(const LinearArgs& args) const;
  // False: the library knows no way. `capacity` is the rows that x and out have room for.
  bool run(const LinearArgs& args, int capacity, Stream& stream);

 private:
  std::unique_ptr<CublasLt> library_;
  // As many as a model's weights times the buckets of rows.
  std::map<MatmulShape, std::unique_ptr<CublasLt::Matmul>> shapes_;
};

}  // namespace gattling::cuda
