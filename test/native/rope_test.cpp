#include "model/rope.h"

#include <cmath>

#include "test.h"

using namespace gattling;

namespace {

bool near(float a, double b) {
  return std::abs(a - b) <= 2e-7 * std::abs(b);
}

// The rule as transformers writes it (modeling_rope_utils.py, _compute_llama3_parameters): by wavelengths, not turns.
double llama3(const RopeConfig& rope, double frequency) {
  const double wavelength = 2 * M_PI / frequency;
  if (wavelength > rope.original_max_position / rope.low_freq_factor) return frequency / rope.factor;
  if (wavelength < rope.original_max_position / rope.high_freq_factor) return frequency;
  const double smooth =
      (rope.original_max_position / wavelength - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
  return (1 - smooth) * frequency / rope.factor + smooth * frequency;
}

}  // namespace

TEST(default_frequencies) {
  const std::vector<float> f = inv_freq({}, 128);
  CHECK(f.size() == 64 && f[0] == 1 && f[32] == 0.01f);
  // Python: 10000 ** (-2 / 128), 10000 ** (-126 / 128)
  CHECK(near(f[1], 0.8659643233600653) && near(f[63], 0.00011547819846894582));
}

TEST(linear_frequencies) {
  const std::vector<float> f = inv_freq({.type = RopeType::Linear, .factor = 4}, 16);
  // Python: 10000 ** (-i / 16) / 4 for i = 0, 2 .. 14
  const double expected[] = {0.25, 0.0790569415, 0.025, 0.00790569415, 0.0025, 0.000790569415, 0.00025, 7.90569415e-05};
  CHECK(f.size() == 8);
  for (size_t i = 0; i < 8; ++i) CHECK(near(f[i], expected[i]));
}

// Python, in float64, the rule of transformers for Llama 3.1 (theta 500000, factor 8, low 1, high 4, original 8192).
TEST(llama31_frequencies) {
  const std::vector<float> f = inv_freq({RopeType::Llama3, 500000, 8, 1, 4, 8192}, 128);
  const struct {
    int index;
    double value;
  } expected[] = {{0, 1},
                  {1, 0.814617234},
                  {16, 0.0376060309},
                  {28, 0.00321144599},  // the last that stays
                  {29, 0.00216657076},  // blended from here
                  {31, 0.000856751413},
                  {33, 0.00031269375},
                  {35, 9.55621235e-05},  // stretched by 8 from here
                  {36, 7.78465527e-05},
                  {63, 3.06892599e-07}};
  for (const auto& e : expected) CHECK(near(f[e.index], e.value));
}

TEST(llama3_rule_at_other_sizes) {
  for (int head_dim : {8, 32, 64, 256})
    for (const RopeConfig& rope :
         {RopeConfig{RopeType::Llama3, 500000, 8, 1, 4, 128}, RopeConfig{RopeType::Llama3, 500000, 32, 1, 4, 8192},
          RopeConfig{RopeType::Llama3, 10000, 2.5, 0.5, 8, 1000}}) {
      const std::vector<float> f = inv_freq(rope, head_dim);
      CHECK(f.size() == static_cast<size_t>(head_dim / 2));
      for (int i = 0; i < head_dim / 2; ++i)
        CHECK(near(f[i], llama3(rope, 1 / std::pow(rope.theta, 2.0 * i / head_dim))));
    }
}
