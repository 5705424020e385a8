#include "quant_cases.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace ops {

std::string IntsOf::name() const {
  return std::to_string(bits) + " bits, groups of " + std::to_string(group) + (offsets ? ", offsets" : "") +
         (halves ? "" : ", fp32 scales") + (reordered ? ", reordered" : "");
}

RandomInts::RandomInts(Random& random, const IntsOf& of, int64_t n, int64_t k) : of_(of), n_(n), k_(k) {
  const int range = 1 << of.bits;
  for (int64_t i = 0; i < n * k; ++i) q_.push_back(static_cast<int8_t>(random.below(range) - range / 2));
  const auto number = [&](float scale) {
    const float value = random.uniform() * scale;
    return of.halves ? std::round(value * 1024) / 16384 : value / 16;  // the first are multiples of 2^-14 below 2^-4
  };
  for (int64_t i = 0; i < n * n_groups(); ++i) {
    scales_.push_back(number(1));
    offsets_.push_back(of.offsets ? number(2) : 0);
  }
  if (!of.reordered) return;
  order_.resize(static_cast<size_t>(k));
  std::iota(order_.begin(), order_.end(), 0);
  for (size_t i = order_.size(); i > 1; --i)
    std::swap(order_[i - 1], order_[static_cast<size_t>(random.below(static_cast<int>(i)))]);
}

void RandomInts::read(int64_t row, int64_t first, int64_t count, int8_t* q, float* scales, float* offsets) const {
  for (int64_t g = first; g < first + count; ++g) {
    *scales++ = scales_[static_cast<size_t>(row * n_groups() + g)];
    *offsets++ = offsets_[static_cast<size_t>(row * n_groups() + g)];
    for (int64_t c = g * group(); c < (g + 1) * group(); ++c) *q++ = c < k_ ? q_[static_cast<size_t>(row * k_ + c)] : 0;
  }
}

gattling::HostTensor RandomInts::tensor() const {
  gattling::HostTensor tensor;
  tensor.name = "quantised";
  tensor.shape = {n_, k_};
  tensor.quantised = this;
  tensor.stored_bytes = q_.size();
  return tensor;
}

reference::Matrix RandomInts::values() const {
  reference::Matrix values(q_.size());
  for (int64_t row = 0; row < n_; ++row)
    for (int64_t c = 0; c < k_; ++c) {
      const size_t group_at = static_cast<size_t>(row * n_groups() + c / group());
      const int64_t input = order_.empty() ? c : order_[static_cast<size_t>(c)];
      values[static_cast<size_t>(row * k_ + input)] =
          static_cast<double>(scales_[group_at]) * q_[static_cast<size_t>(row * k_ + c)] + offsets_[group_at];
    }
  return values;
}

reference::Matrix rounded(const std::vector<float>& x, const gattling::Quantised& weight, int64_t k) {
  const int64_t step = weight.group() < 32 && weight.group() < k ? 16 : 32;
  const std::span<const int32_t> order = weight.order();
  reference::Matrix out(x.size());
  for (int64_t row = 0; row < static_cast<int64_t>(x.size()) / k; ++row)
    for (int64_t first = 0; first < k; first += step) {
      std::vector<size_t> at;
      float largest = 0;
      for (int64_t c = first; c < std::min(k, first + step); ++c) {
        at.push_back(static_cast<size_t>(row * k + (order.empty() ? c : order[static_cast<size_t>(c)])));
        largest = std::max(largest, std::abs(x[at.back()]));
      }
      if (largest <= 1e-30f) continue;
      for (size_t i : at) out[i] = static_cast<double>(largest / 127) * std::nearbyint(x[i] * (127 / largest));
    }
  return out;
}

}  // namespace ops
