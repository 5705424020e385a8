#include "model/rope.h"

#include <cmath>
#include <numbers>

namespace gattling {
namespace {

// The llama3 rule (transformers, modeling_rope_utils.py, _compute_llama3_parameters): wavelengths that turned often
// within the original context stay, those that did not turn once are stretched, and between the two they blend.
double stretch(const RopeConfig& rope, double frequency) {
  const double turns = rope.original_max_position * frequency / (2 * std::numbers::pi);
  if (turns < rope.low_freq_factor) return frequency / rope.factor;
  if (turns > rope.high_freq_factor) return frequency;
  const double smooth = (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
  return (1 - smooth) * frequency / rope.factor + smooth * frequency;
}

}  // namespace

std::vector<float> inv_freq(const RopeConfig& rope, int head_dim, std::span<const float> factors) {
  std::vector<float> out;
  for (int i = 0; i < head_dim; i += 2) {
    const double frequency = std::pow(rope.theta, -static_cast<double>(i) / head_dim);
    const double scaled = rope.type == RopeType::Llama3   ? stretch(rope, frequency)
                          : rope.type == RopeType::Linear ? frequency / rope.factor
                                                          : frequency;
    const double factor = factors.empty() ? 1 : factors[static_cast<size_t>(i / 2)];
    out.push_back(static_cast<float>(scaled / factor));
  }
  return out;
}

}  // namespace gattling
