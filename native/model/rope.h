// Rotary position embedding (RoPE, Su et al. 2021): the frequencies, context stretching included.
#pragma once

#include <vector>

#include "model/config.h"

namespace gattling {

// [head_dim / 2] radians per position; computed in double and rounded once.
std::vector<float> inv_freq(const RopeConfig& rope, int head_dim);

}  // namespace gattling
