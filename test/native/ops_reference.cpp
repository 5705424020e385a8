#include "ops_reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

namespace reference {

Matrix linear(const Matrix& x, const Matrix& weight, const Matrix& bias, size_t rows, size_t n, size_t k) {
  Matrix out(rows * n);
  for (size_t r = 0; r < rows; ++r)
    for (size_t o = 0; o < n; ++o) {
      double sum = bias.empty() ? 0 : bias[o];
      for (size_t i = 0; i < k; ++i) sum += x[r * k + i] * weight[o * k + i];
      out[r * n + o] = sum;
    }
  return out;
}

Matrix rmsnorm(const Matrix& x, const Matrix& scale, double eps, size_t rows, size_t n) {
  Matrix out(rows * n);
  for (size_t r = 0; r < rows; ++r) {
    double squares = 0;
    for (size_t i = 0; i < n; ++i) squares += x[r * n + i] * x[r * n + i];
    const double rms = std::sqrt(squares / static_cast<double>(n) + eps);
    for (size_t i = 0; i < n; ++i) out[r * n + i] = x[r * n + i] / rms * scale[i];
  }
  return out;
}

Matrix swiglu(const Matrix& gate, const Matrix& up) {
  Matrix out(gate.size());
  for (size_t i = 0; i < out.size(); ++i) out[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
  return out;
}

Matrix rope(const Matrix& head, const std::vector<float>& inv_freq, int position) {
  Matrix out(head.size());
  const size_t half = head.size() / 2;
  for (size_t i = 0; i < half; ++i) {
    const double angle = position * static_cast<double>(inv_freq[i]);
    out[i] = head[i] * std::cos(angle) - head[i + half] * std::sin(angle);
    out[i + half] = head[i + half] * std::cos(angle) + head[i] * std::sin(angle);
  }
  return out;
}

Matrix attend(const Matrix& q, const Matrix& k, const Matrix& v) {
  const size_t d = q.size(), n = k.size() / d;
  Matrix scores(n);
  for (size_t j = 0; j < n; ++j)
    for (size_t i = 0; i < d; ++i) scores[j] += q[i] * k[j * d + i] / std::sqrt(static_cast<double>(d));
  const Matrix logs = log_softmax(scores);
  Matrix out(d);
  for (size_t j = 0; j < n; ++j)
    for (size_t i = 0; i < d; ++i) out[i] += std::exp(logs[j]) * v[j * d + i];
  return out;
}

Matrix log_softmax(const Matrix& logits) {
  const double max = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (double logit : logits) sum += std::exp(logit - max);
  Matrix out(logits);
  for (double& value : out) value -= max + std::log(sum);
  return out;
}

Matrix adjusted(const Matrix& logits, const gattling::Sampling& sampling, const std::vector<int32_t>& tokens,
                int n_prompt, const std::vector<uint32_t>& mask) {
  const double none = -std::numeric_limits<double>::infinity();
  Matrix out(logits);
  std::map<int32_t, int> generated;  // a count for every token seen
  for (size_t i = 0; i < tokens.size(); ++i) generated[tokens[i]] += static_cast<int>(i) >= n_prompt;
  for (const auto& [token, count] : generated) {
    double& logit = out[static_cast<size_t>(token)];
    const double repetition = sampling.repetition_penalty;
    logit = logit > 0 ? logit / repetition : logit * repetition;
    logit -= static_cast<double>(sampling.frequency_penalty) * count;
    if (count > 0) logit -= sampling.presence_penalty;
  }
  for (const auto& [token, bias] : sampling.bias) out[static_cast<size_t>(token)] += bias;
  if (static_cast<int>(tokens.size()) - n_prompt < sampling.min_tokens)
    for (int32_t token : sampling.stop_ids) out[static_cast<size_t>(token)] = none;
  for (size_t i = 0; i < out.size() && !mask.empty(); ++i)
    if (!(mask[i / 32] >> (i % 32) & 1)) out[i] = none;
  return out;
}

Matrix distribution(const Matrix& adjusted, const gattling::Sampling& sampling) {
  Matrix tempered(adjusted);
  for (double& value : tempered) value /= sampling.temperature;
  Matrix p = log_softmax(tempered);
  for (double& value : p) value = std::exp(value);
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] > p[b]; });

  const auto keep = [&](size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; ++i) sum += p[order[i]];
    for (size_t i = 0; i < p.size(); ++i) p[order[i]] = i < n ? p[order[i]] / sum : 0;
  };
  if (sampling.top_k > 0) keep(std::min(p.size(), static_cast<size_t>(sampling.top_k)));
  if (sampling.top_p < 1) {
    size_t n = 0;
    double sum = 0;
    while (n < p.size() && (n == 0 || sum < sampling.top_p)) sum += p[order[n++]];
    keep(n);
  }
  if (sampling.min_p > 0) {
    size_t n = 1;
    while (n < p.size() && p[order[n]] >= sampling.min_p * p[order[0]]) ++n;
    keep(n);
  }
  return p;
}

}  // namespace reference
