// The GPU among the backends of this machine, or its emulation.
#include <algorithm>
#include <cstdio>

#include "backend/half.h"
#include "cuda/cuda_backend.h"
#include "cuda/pack.h"
#include "cuda/runtime.h"
#include "ops_cases.h"

namespace ops {

using gattling::DType;
using gattling::Tensor;

namespace {

// Activations of 16 bits are written and read as floats; rows lie stride_of(cols) apart.
void write_device(const Tensor& tensor, const std::vector<float>& values) {
  const int64_t stride = gattling::cuda::stride_of(tensor.cols),
                rows = static_cast<int64_t>(values.size()) / tensor.cols;
  std::vector<float> padded(static_cast<size_t>(rows * stride));
  for (int64_t row = 0; row < rows; ++row)
    std::copy_n(values.begin() + row * tensor.cols, tensor.cols, padded.begin() + row * stride);
  gattling::cuda::synchronize_device();  // what allocate() fills
  gattling::cuda::Stream stream;
  if (tensor.dtype == DType::F32) {
    stream.copy_to_device(tensor.data, padded.data(), padded.size() * sizeof(float));
  } else {
    std::vector<gattling::f16> halves(padded.size());
    for (size_t i = 0; i < halves.size(); ++i) gattling::narrow(padded[i], halves[i]);
    stream.copy_to_device(tensor.data, halves.data(), halves.size() * sizeof(gattling::f16));
  }
  stream.synchronize();
}

std::vector<float> read_device(const Tensor& tensor, int64_t rows) {
  gattling::cuda::synchronize_device();
  const int64_t stride = gattling::cuda::stride_of(tensor.cols);
  std::vector<float> padded(static_cast<size_t>(rows * stride)), values;
  gattling::cuda::Stream stream;
  if (tensor.dtype == DType::F32) {
    stream.copy_to_host(padded.data(), tensor.data, padded.size() * sizeof(float));
    stream.synchronize();
  } else {
    std::vector<gattling::f16> halves(padded.size());
    stream.copy_to_host(halves.data(), tensor.data, halves.size() * sizeof(gattling::f16));
    stream.synchronize();
    for (size_t i = 0; i < halves.size(); ++i) padded[i] = gattling::widen(halves[i]);
  }
  for (int64_t row = 0; row < rows; ++row)
    values.insert(values.end(), padded.begin() + row * stride, padded.begin() + row * stride + tensor.cols);
  return values;
}

}  // namespace

void add_cuda(std::vector<BackendCase>& found) {
  const auto make = [](DType compute, int) {
    return gattling::make_cuda_backend({.compute = compute, .unit = "", .deterministic = true});
  };
  try {
    const std::string name = "cuda/" + make(DType::F32, 1)->info().unit;
    found.push_back({name, make, write_device, read_device, 2e-3, {1}, 8, 500, true});
  } catch (const std::exception& error) {
    std::printf("skipped cuda: %s\n", error.what());
  }
}

}  // namespace ops
