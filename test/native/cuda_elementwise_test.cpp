#include <cmath>
#include <vector>

#include "cuda/kernels/elementwise.h"
#include "cuda_buffers.h"
#include "test.h"

using namespace gattling;
using namespace gattling::cuda;
using namespace test;

namespace {

const std::vector<int> kWidths = {1, 7, 63, 64, 255, 256, 257, 515};

size_t stride_of(int n) {
  return static_cast<size_t>(n + 63) / 64 * 64;
}

template <typename T>
std::vector<T> values(size_t size, size_t first = 0) {
  std::vector<T> all(size);
  for (size_t i = 0; i < size; ++i) all[i] = rounded<T>(value(first + i) * 3);
  return all;
}

template <typename T>
void embed_rows(int n) {
  const std::vector<int32_t> tokens = {4, 0, 4, 2};
  const size_t stride = stride_of(n), columns = static_cast<size_t>(n);
  const std::vector<T> table = values<T>(5 * stride);
  std::vector<float> expected(tokens.size() * stride, 0.5f);
  Stream stream;
  const Buffer from = on_device(table, stream), ids = on_device(tokens, stream), to = on_device(expected, stream);
  embed({from.as<void>(), half_of<T>, static_cast<int64_t>(stride), ids.as<int32_t>(), to.as<float>(),
         static_cast<int64_t>(stride), static_cast<int>(tokens.size()), n},
        stream);
  for (size_t row = 0; row < tokens.size(); ++row)
    for (size_t i = 0; i < columns; ++i)
      expected[row * stride + i] = widen(table[static_cast<size_t>(tokens[row]) * stride + i]);
  CHECK(on_host<float>(to, stream) == expected);
}

template <typename T>
void swiglu_rows(int n, bool interleaved) {
  constexpr size_t kRows = 3;
  const size_t run = interleaved ? 8 : static_cast<size_t>(n);
  const size_t in_stride = stride_of(2 * n), out_stride = stride_of(n), columns = static_cast<size_t>(n);
  const std::vector<T> gate_up = values<T>(kRows * in_stride);
  const std::vector<T> before(kRows * out_stride, rounded<T>(0.5f));
  Stream stream;
  const Buffer from = on_device(gate_up, stream), to = on_device(before, stream);
  swiglu({from.as<void>(), static_cast<int64_t>(in_stride), to.as<void>(), static_cast<int64_t>(out_stride), half_of<T>,
          static_cast<int>(kRows), n, interleaved},
         stream);
  const std::vector<T> out = on_host<T>(to, stream);
  for (size_t row = 0; row < kRows; ++row)
    for (size_t i = 0; i < out_stride; ++i) {
      const size_t at = i < columns ? row * in_stride + i / run * run + i : 0;
      const double gate = widen(gate_up[at]), up = widen(gate_up[at + run]);
      const double expected = i < columns ? gate / (1 + std::exp(-gate)) * up : 0.5;
      CHECK(std::fabs(widen(out[row * out_stride + i]) - expected) <= unit_of<T> * std::fabs(expected) + 1e-7);
    }
}

template <typename T>
void sums_of_rows(int n) {
  const std::vector<RowSum> sums = {{3, 1}, {0, 5}, {1, 2}};
  const size_t stride = stride_of(n), columns = static_cast<size_t>(n);
  const std::vector<T> x = values<T>(5 * stride);
  Stream stream;
  const Buffer from = on_device(x, stream), wanted = on_device(sums, stream);
  const Buffer to = on_device(std::vector<float>(sums.size() * columns, 0.5f), stream);
  sum_rows({from.as<void>(), static_cast<int64_t>(stride), half_of<T>, wanted.as<RowSum>(),
            static_cast<int>(sums.size()), to.as<float>(), n},
           stream);
  const std::vector<float> out = on_host<float>(to, stream);
  for (size_t s = 0; s < sums.size(); ++s)
    for (size_t i = 0; i < columns; ++i) {
      float expected = 0;
      for (int row = sums[s].first; row < sums[s].first + sums[s].count; ++row)
        expected += widen(x[static_cast<size_t>(row) * stride + i]);
      CHECK(out[s * columns + i] == expected);
    }
}

}  // namespace

TEST(embedding) {
  for (const int n : kWidths) {
    embed_rows<bf16>(n);
    embed_rows<f16>(n);
  }
}

TEST(swiglu) {
  for (const int n : kWidths) {
    swiglu_rows<bf16>(n, false);
    swiglu_rows<f16>(n, false);
    if (n % 8 == 0) swiglu_rows<bf16>(n, true);
  }
}

TEST(sums) {
  for (const int n : kWidths) {
    sums_of_rows<bf16>(n);
    sums_of_rows<f16>(n);
  }
}

TEST(gathered_rows) {
  for (const int n : {1, 8, 64, 65, 2047, 2048, 2056, 2057}) {  // up to and past a block of 16-byte pieces
    const std::vector<int32_t> rows = {5, 0, 0, 3};
    const size_t stride = stride_of(n), out_stride = stride + 64, columns = static_cast<size_t>(n);
    const std::vector<bf16> x = values<bf16>(6 * stride);
    Stream stream;
    const Buffer from = on_device(x, stream), wanted = on_device(rows, stream);
    const Buffer to = on_device(std::vector<bf16>(rows.size() * out_stride, rounded<bf16>(0.5f)), stream);
    gather({from.as<void>(), static_cast<int64_t>(stride), to.as<void>(), static_cast<int64_t>(out_stride),
            wanted.as<int32_t>(), static_cast<int>(rows.size()), n},
           stream);
    const std::vector<bf16> out = on_host<bf16>(to, stream);
    for (size_t row = 0; row < rows.size(); ++row) {
      for (size_t i = 0; i < columns; ++i)
        CHECK(out[row * out_stride + i].bits == x[static_cast<size_t>(rows[row]) * stride + i].bits);
      for (size_t i = (columns + 7) / 8 * 8; i < out_stride; ++i) CHECK(widen(out[row * out_stride + i]) == 0.5f);
    }
  }
}

TEST(nothing_to_do) {
  Stream stream;
  gather({nullptr, 0, nullptr, 0, nullptr, 0, 64}, stream);
  sum_rows({nullptr, 0, Half::BF16, nullptr, 0, nullptr, 64}, stream);
}
