// Sampling parameters, and the counter-based random numbers that every backend shares.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

namespace gattling {

constexpr int kMaxTop = 20;

struct Sampling {
  float temperature = 1;  // 0: greedy, the lowest id among equals
  int top_k = 0;          // 0: off
  float top_p = 1;        // 1: off
  float min_p = 0;        // 0: off
  float presence_penalty = 0;
  float frequency_penalty = 0;
  float repetition_penalty = 1;
  uint64_t seed = 0;
  std::vector<std::pair<int32_t, float>> bias = {};  // logit_bias, each id once
  std::vector<int32_t> stop_ids = {};                // banned while fewer than min_tokens have been generated
  int min_tokens = 0;
};

// Philox 4x32 with 10 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 4.3): the
// first word of the block for key = seed and counter = {token, position, 0, 0}.
inline uint32_t philox(uint64_t seed, uint32_t position, uint32_t token) {
  uint32_t c0 = token, c1 = position, c2 = 0, c3 = 0;
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * c0;
    const uint64_t p1 = uint64_t{0xCD9E8D57} * c2;
    const uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    const uint32_t n2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(p1);
    c3 = static_cast<uint32_t>(p0);
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return c0;
}

// A standard Gumbel variate: argmax over tokens of (logit / temperature + gumbel) draws from the softmax (Gumbel-max).
inline float gumbel(uint64_t seed, uint32_t position, uint32_t token) {
  // In (0, 1): the greatest word would round up to 1, and win whatever its logit.
  const float uniform =
      std::min((static_cast<float>(philox(seed, position, token) >> 8) + 0.5f) * 0x1p-24f, 0x1.fffffep-1f);
  return -std::log(-std::log(uniform));
}

}  // namespace gattling
