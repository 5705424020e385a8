// Every served type against what the package `gguf` makes of the same bytes (test/fixtures/gguf/make.py).
#include "model/gguf_quants.h"

#include <algorithm>
#include <cmath>

#include "backend/half.h"
#include "files.h"
#include "model/gguf.h"
#include "test.h"

using namespace gattling;

namespace {

struct Case {
  const char* name;
  GgmlType type;
  int bits;
  int64_t group;
  bool offsets;
  bool exact;  // the format's own bits
};

constexpr Case kCases[] = {
    {"q4_0", GgmlType::Q4_0, 4, 32, false, true}, {"q4_1", GgmlType::Q4_1, 4, 32, true, false},
    {"q5_0", GgmlType::Q5_0, 8, 32, false, true}, {"q5_1", GgmlType::Q5_1, 8, 32, true, true},
    {"q8_0", GgmlType::Q8_0, 8, 32, false, true}, {"q2_k", GgmlType::Q2_K, 4, 16, true, true},
    {"q3_k", GgmlType::Q3_K, 4, 16, false, true}, {"q4_k", GgmlType::Q4_K, 4, 32, true, false},
    {"q5_k", GgmlType::Q5_K, 8, 32, true, true},  {"q6_k", GgmlType::Q6_K, 8, 16, false, true},
};

const Gguf& fixture() {
  static const Gguf file(GATTLING_SOURCE_DIR "/test/fixtures/gguf/types.gguf");
  return file;
}

const GgufTensor& tensor(const std::string& name) {
  for (const GgufTensor& t : fixture().contents.tensors)
    if (t.name == name) return t;
  test::failed(__FILE__, __LINE__, "types.gguf has no tensor " + name);
}

std::vector<float> expected(const std::string& name) {
  const GgufTensor& value = tensor(name + ".value");
  std::vector<float> out(value.data.size() / sizeof(float));
  std::memcpy(out.data(), value.data.data(), value.data.size());
  return out;
}

struct Groups {
  std::vector<int8_t> q;
  std::vector<float> scales, offsets;
};

// All of a tensor; `step` groups a call.
Groups read(const Quantised& view, int64_t rows, int64_t columns, int64_t step) {
  const int64_t groups = columns / view.group();
  Groups out{std::vector<int8_t>(rows * columns), std::vector<float>(rows * groups, -1),
             std::vector<float>(rows * groups, -1)};
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t g = 0; g < groups; g += step) {
      const int64_t at = row * groups + g;
      view.read(row, g, std::min(step, groups - g), &out.q[at * view.group()], &out.scales[at], &out.offsets[at]);
    }
  return out;
}

}  // namespace

TEST(quantised_values_are_the_formats) {
  for (const Case& c : kCases) {
    const GgufTensor& stored = tensor(c.name);
    const int64_t rows = stored.shape[0], columns = stored.shape[1];
    const auto view = quantised_view(c.type, stored.data.data(), columns);
    CHECK(view->bits() == c.bits && view->group() == c.group && view->has_offsets() == c.offsets);
    CHECK(view->order().empty());
    const Groups got = read(*view, rows, columns, columns);
    const std::vector<float> want = expected(c.name);
    int n_equal = 0;
    for (size_t i = 0; i < want.size(); ++i) {
      const float scale = got.scales[i / c.group], offset = got.offsets[i / c.group];
      const float value = scale * got.q[i] + offset;
      n_equal += bits_of(value + 0.0f) == bits_of(want[i] + 0.0f);  // -0 is 0
      // Half a unit in the last place of the offset, and of either sum.
      const float bound = std::ldexp(std::abs(offset) + 2 * std::abs(want[i]), -24);
      CHECK(std::abs(value - want[i]) <= (c.exact ? 0 : bound));
      CHECK(c.offsets || offset == 0);
      CHECK(c.bits == 8 || (got.q[i] >= -8 && got.q[i] <= 7));
    }
    CHECK(!c.exact || n_equal == static_cast<int>(want.size()));
    CHECK(n_equal > static_cast<int>(want.size()) / 2);
  }
}

// What is read does not depend on where a call begins and how much it takes.
TEST(groups_can_be_read_one_by_one) {
  for (const Case& c : kCases) {
    const GgufTensor& stored = tensor(c.name);
    const auto view = quantised_view(c.type, stored.data.data(), stored.shape[1]);
    const Groups all = read(*view, stored.shape[0], stored.shape[1], stored.shape[1]);
    for (int64_t step : {1, 3}) {
      const Groups some = read(*view, stored.shape[0], stored.shape[1], step);
      CHECK(some.q == all.q && some.scales == all.scales && some.offsets == all.offsets);
    }
  }
}

// The fixture uses what it can: every value of q, both signs of the scale.
TEST(fixture_covers_the_formats) {
  for (const Case& c : kCases) {
    const GgufTensor& stored = tensor(c.name);
    const Groups got =
        read(*quantised_view(c.type, stored.data.data(), stored.shape[1]), stored.shape[0], stored.shape[1], 64);
    const auto [least, most] = std::ranges::minmax(got.q);
    const int range = c.type == GgmlType::Q2_K   ? 3
                      : c.type == GgmlType::Q3_K ? 7
                      : c.bits == 4              ? 15
                      : c.type == GgmlType::Q8_0 ? 200
                      : c.type == GgmlType::Q6_K ? 63
                                                 : 31;
    CHECK(most - least >= range);
    CHECK(std::ranges::min(got.scales) < 0 && std::ranges::max(got.scales) > 0);
    CHECK(!c.offsets || (std::ranges::min(got.offsets) < 0 && std::ranges::max(got.offsets) > 0));
  }
}

TEST(plain_types_are_no_groups) {
  for (GgmlType type : {GgmlType::F32, GgmlType::F16, GgmlType::BF16}) {
    CHECK(plain_dtype(type) && !quantised_view(type, nullptr, 32));
    CHECK(size_of(*plain_dtype(type)) == static_cast<size_t>(ggml_block(static_cast<uint32_t>(type))->bytes));
  }
  CHECK(!plain_dtype(GgmlType::Q8_0));
}

TEST(plain_values) {
  const std::vector<float> f32 = expected("f32"), half = expected("f16"), brain = expected("bf16");
  for (size_t i = 0; i < f32.size(); ++i) {
    float value;
    f16 h;
    bf16 b;
    std::memcpy(&value, tensor("f32").data.data() + i * 4, 4);
    std::memcpy(&h, tensor("f16").data.data() + i * 2, 2);
    std::memcpy(&b, tensor("bf16").data.data() + i * 2, 2);
    CHECK(value == f32[i] && widen(h) == half[i] && widen(b) == brain[i]);
  }
}
