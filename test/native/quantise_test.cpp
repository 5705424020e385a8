// Dense weights to integers: each number within half a step of its own, the scale that is stored, and what stays dense.
#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/half.h"
#include "backend/parts.h"
#include "backend/quantise.h"
#include "ops_cases.h"
#include "quant_cases.h"
#include "test.h"

using namespace gattling;
using ops::Random;
using ops::Stored;

namespace {

double squared_error(const std::vector<float>& x, float scale, const std::vector<int8_t>& q) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += std::pow(x[i] - static_cast<double>(scale) * q[i], 2);
  return sum;
}

bool is_half(float value) {
  f16 half;
  narrow(value, half);
  return widen(half) == value;
}

}  // namespace

TEST(eight_bits_are_within_half_a_step) {
  Random random(1);
  for (float size : {1e-6f, 1e-3f, 1.0f, 300.0f})
    for (int n : {1, 31, 32, 128}) {
      std::vector<float> x = random.floats(static_cast<size_t>(n));
      for (float& value : x) value *= size;
      std::vector<int8_t> q(x.size());
      const float scale = quantise_group(8, x, q.data());
      CHECK(scale > 0 && (size < 1e-5f || is_half(scale)));
      for (size_t i = 0; i < x.size(); ++i) {
        CHECK(q[i] >= -127);
        CHECK(std::abs(x[i] - scale * q[i]) <= scale * 1.0f);
        CHECK(std::abs(q[i]) == 127 || std::abs(x[i] - scale * q[i]) <= scale * 0.501f);
      }
    }
}

TEST(four_bits_have_less_error_than_the_plain_scale) {
  Random random(2);
  double searched = 0, plain = 0;
  for (int round = 0; round < 200; ++round) {
    std::vector<float> x(32);
    for (float& value : x) value = random.uniform() + random.uniform() + random.uniform();
    std::vector<int8_t> q(x.size());
    const float scale = quantise_group(4, x, q.data());
    CHECK(is_half(scale));
    CHECK(std::ranges::all_of(q, [](int8_t value) { return value >= -8 && value <= 7; }));
    searched += squared_error(x, scale, q);
    float largest = 0;
    for (float value : x) largest = std::max(largest, std::abs(value));
    for (size_t i = 0; i < x.size(); ++i) q[i] = static_cast<int8_t>(std::nearbyint(x[i] / (largest / 7)));
    plain += squared_error(x, largest / 7, q);
  }
  CHECK(searched < 0.85 * plain);
}

TEST(groups_of_nothing_or_of_what_is_not_a_number) {
  for (int bits : {4, 8}) {
    std::vector<int8_t> q(4, 9);
    CHECK(quantise_group(bits, std::vector<float>(4), q.data()) == 0 && q == std::vector<int8_t>(4));
    CHECK(quantise_group(bits, std::vector<float>{0, 1e-40f, 0, 0}, q.data()) == 0);
    for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
      CHECK(std::isnan(quantise_group(bits, std::vector<float>{0, 1, bad, 1}, q.data())));
    const float huge = quantise_group(bits, std::vector<float>{3e38f, -1e38f, 0, 0}, q.data());
    CHECK(std::isfinite(huge) && std::abs(huge * q[0] / 3e38f - 1) < 0.02f);
  }
}

TEST(dense_parts_become_integers_and_the_rest_stays) {
  Random random(3);
  const Stored a(random, DType::BF16, {48, 100}), b(random, DType::F32, {32, 100}), bias(random, DType::F32, {48}),
      norm(random, DType::F32, {100});
  const auto quantised = [](Use use, const std::vector<HostTensor>& parts, Quantization quantization) {
    return std::make_unique<QuantisedParts>(use, parts, quantization);
  };
  const auto fused = quantised(Use::GateUp, {a.tensor, b.tensor}, Quantization::Int4G128);
  CHECK(fused->parts()[0].quantised->bits() == 4 && fused->parts()[1].quantised->group() == 128);
  CHECK(quantised(Use::Head, {a.tensor}, Quantization::Int4)->parts()[0].quantised->bits() == 8);
  CHECK(quantised(Use::Embedding, {a.tensor}, Quantization::Int4G128)->parts()[0].quantised->group() == 32);
  CHECK(!quantised(Use::Down, {a.tensor}, Quantization::None)->parts()[0].quantised);
  CHECK(!quantised(Use::Norm, {norm.tensor}, Quantization::Int8)->parts()[0].quantised);
  const auto biased = quantised(Use::AttnOut, {a.tensor, bias.tensor}, Quantization::Int8);
  CHECK(biased->parts()[0].quantised && !biased->parts()[1].quantised);
  const auto again = quantised(Use::AttnOut, {biased->parts()[0], bias.tensor}, Quantization::Int4);
  CHECK(again->parts()[0].quantised == biased->parts()[0].quantised);

  HostTensor turned = a.tensor;
  turned.paired_head = 16;
  const auto parts = quantised(Use::Down, {turned}, Quantization::Int8);
  const Source source = source_of(Use::Down, parts->parts(), {});
  std::vector<float> have(100), want(100);
  for (int64_t row = 0; row < 48; ++row) {
    read_source(source, row, 0, 100, have.data());
    read_columns(turned, row, 0, 100, want.data());
    CHECK(ops::error(have, ops::doubles(want)) < 0.005);
    read_source(source, row, 37, 40, have.data());
    CHECK(ops::error({have.begin(), have.begin() + 40}, ops::doubles({want.begin() + 37, want.begin() + 77})) < 0.005);
  }
}

TEST(bytes_are_planned) {
  Random random(9);
  const Stored wide(random, DType::BF16, {100, 640});
  const auto bytes = [&](Use use, Quantization quantization) {
    return packed_bytes(QuantisedParts(use, {&wide.tensor, 1}, quantization).parts()[0]);
  };
  CHECK(bytes(Use::Down, Quantization::Int8) == 64000 + 2000 * 2);
  CHECK(bytes(Use::Down, Quantization::Int4) == 32000 + 2000 * 2);
  CHECK(bytes(Use::Down, Quantization::Int4G128) == 32000 + 500 * 2);
  CHECK(bytes(Use::Head, Quantization::Int4) == 64000 + 2000 * 2);
  for (const bool halves : {false, true}) {
    const ops::RandomInts ints(random, {.bits = 4, .group = 64, .offsets = true, .halves = halves}, 10, 100);
    CHECK(packed_bytes(ints.tensor()) == 10 * (50 + 2 * (halves ? 6 : 8)));
  }
}
