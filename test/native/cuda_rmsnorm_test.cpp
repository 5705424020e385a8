#include <cmath>
#include <vector>

#include "cuda/kernels/rmsnorm.h"
#include "cuda_buffers.h"
#include "test.h"

using namespace gattling;
using namespace gattling::cuda;
using namespace test;

namespace {

constexpr float kEps = 1e-5f;

struct Result {
  std::vector<float> residual, out;
};

// Rows of n columns at a stride; `first` is the index of the first row's values, so that rows can be compared.
template <typename T>
Result run(int rows, int n, int stride, bool has_delta, size_t first = 0) {
  const size_t size = static_cast<size_t>(rows) * static_cast<size_t>(stride);
  std::vector<float> residual(size), scale(static_cast<size_t>(n));
  std::vector<T> delta(size), out(size, rounded<T>(0));
  for (size_t i = 0; i < size; ++i) residual[i] = value(first * static_cast<size_t>(stride) + i);
  for (size_t i = 0; i < size; ++i) delta[i] = rounded<T>(value(i + first * static_cast<size_t>(stride) + 77) / 2);
  for (size_t i = 0; i < scale.size(); ++i) scale[i] = 1 + value(i + 13) / 8;
  Stream stream;
  const Buffer residual_buffer = on_device(residual, stream), delta_buffer = on_device(delta, stream);
  const Buffer scale_buffer = on_device(scale, stream), out_buffer = on_device(out, stream);
  rmsnorm({residual_buffer.as<float>(), has_delta ? delta_buffer.as<void>() : nullptr, scale_buffer.as<float>(),
           out_buffer.as<void>(), half_of<T>, rows, n, stride, kEps},
          stream);
  Result result{on_host<float>(residual_buffer, stream), {}};
  for (const T x : on_host<T>(out_buffer, stream)) result.out.push_back(widen(x));

  for (int row = 0; row < rows; ++row) {
    const size_t at = static_cast<size_t>(row) * static_cast<size_t>(stride);
    double squares = 0;
    std::vector<double> sum(static_cast<size_t>(n));
    for (size_t i = 0; i < sum.size(); ++i) {
      sum[i] = residual[at + i] + (has_delta ? widen(delta[at + i]) : 0);
      squares += sum[i] * sum[i];
    }
    const double inverse = 1 / std::sqrt(squares / n + kEps);
    for (size_t i = 0; i < sum.size(); ++i) {
      const double expected = sum[i] * inverse * scale[i];
      CHECK(std::fabs(result.residual[at + i] - sum[i]) <= 1e-6);
      CHECK(std::fabs(result.out[at + i] - expected) <= unit_of<T> * std::fabs(expected) + 1e-6);
    }
    for (size_t i = sum.size(); i < static_cast<size_t>(stride); ++i) {
      CHECK(result.residual[at + i] == residual[at + i]);
      CHECK(result.out[at + i] == 0);
    }
  }
  return result;
}

}  // namespace

TEST(awkward_widths) {
  for (const int n : {1, 7, 64, 255, 256, 257, 515})
    for (const bool has_delta : {false, true}) {
      run<bf16>(3, n, (n + 63) / 64 * 64, has_delta);
      run<f16>(2, n, n, has_delta);
    }
}

TEST(a_wide_row) {
  run<bf16>(1, 4096, 4096, true);
}

TEST(a_row_does_not_see_its_neighbours) {
  const Result all = run<bf16>(5, 300, 320, true), two = run<bf16>(2, 300, 320, true, 2);
  for (size_t i = 0; i < two.out.size(); ++i)
    CHECK(two.out[i] == all.out[2 * 320 + i] && two.residual[i] == all.residual[2 * 320 + i]);
}
