#include "backend/quantised.h"

#include <algorithm>
#include <vector>

#include "backend/error.h"
#include "backend/tensor.h"

namespace gattling {
namespace {

// Calls use(column, value) for the columns, in the stored order, of groups [first, end) of a row.
template <typename Use>
void each_value(const Quantised& quantised, int64_t k, int64_t row, int64_t first, int64_t end, const Use& use) {
  constexpr int64_t kRun = 256;  // columns at a time, where groups are smaller
  const int64_t group = quantised.group(), most = std::max<int64_t>(1, kRun / group);
  std::vector<int8_t> q(static_cast<size_t>(std::min(most, end - first) * group));
  std::vector<float> scales(q.size() / static_cast<size_t>(group)), offsets(scales.size());
  for (int64_t at = first; at < end; at += most) {
    const int64_t count = std::min(most, end - at), columns = std::min(count * group, k - at * group);
    quantised.read(row, at, count, q.data(), scales.data(), offsets.data());
    for (int64_t i = 0; i < columns; ++i) {
      const size_t in = static_cast<size_t>(i / group);
      const float scaled = scales[in] * q[static_cast<size_t>(i)];
      use(at * group + i, quantised.has_offsets() ? scaled + offsets[in] : scaled);
    }
  }
}

void check_order(const HostTensor& tensor, std::span<const int32_t> order, int64_t k) {
  check(static_cast<int64_t>(order.size()) == k, "Tensor ", tensor.name, " orders ", order.size(), " inputs; it has ",
        k, ".");
  std::vector<bool> seen(order.size());
  for (int32_t input : order) {
    check(input >= 0 && input < k && !seen[static_cast<size_t>(input)], "Tensor ", tensor.name, " orders input ", input,
          " twice or out of range; each input from 0 to ", k - 1, " comes once.");
    seen[static_cast<size_t>(input)] = true;
  }
}

}  // namespace

void check_quantised(const HostTensor& tensor) {
  const Quantised& quantised = *tensor.quantised;
  check(tensor.shape.size() == 2, "Tensor ", tensor.name, " is quantised and has ", tensor.shape.size(),
        " dimensions; it has 2.");
  const int64_t k = tensor.shape[1], group = quantised.group();
  check(quantised.bits() == 4 || quantised.bits() == 8, "Tensor ", tensor.name, " has integers of ", quantised.bits(),
        " bits; they have 4 or 8.");
  check(group == 16 || group == 32 || group == 64 || group == 128 || group == k, "Tensor ", tensor.name,
        " has groups of ", group, " columns; they have 16, 32, 64, 128 or all ", k, ".");
  if (!quantised.order().empty()) check_order(tensor, quantised.order(), k);
}

bool quantised_alike(const Quantised& a, const Quantised& b) {
  return a.bits() == b.bits() && a.group() == b.group() && a.has_offsets() == b.has_offsets() &&
         std::ranges::equal(a.order(), b.order());
}

void dequantise(const Quantised& quantised, int64_t k, int64_t row, int64_t col, int64_t n, float* to) {
  const std::span<const int32_t> order = quantised.order();
  const int64_t group = quantised.group();
  if (!order.empty()) {
    each_value(quantised, k, row, 0, (k + group - 1) / group, [&](int64_t column, float value) {
      const int64_t input = order[static_cast<size_t>(column)];
      if (input >= col && input < col + n) to[input - col] = value;
    });
    return;
  }
  each_value(quantised, k, row, col / group, (col + n + group - 1) / group, [&](int64_t column, float value) {
    if (column >= col && column < col + n) to[column - col] = value;
  });
}

}  // namespace gattling
