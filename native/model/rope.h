// Rotary position embedding (RoPE, Su et al. 2021): the frequencies, context stretching included.
#pragma once

#include <span>
#include <vector>

#include "model/config.h"

namespace gattling {

// [head_dim / 2] radians per position, each divided by its factor where there are any; computed in double and rounded
// once.
std::vector<float> inv_freq(const RopeConfig& rope, int head_dim, std::span<const float> factors = {});

}  // namespace gattling
