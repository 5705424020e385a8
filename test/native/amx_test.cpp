// Products of bf16 in tile registers: the plain twin against the manual's words and a double reference, and what this
// machine has against the twin, bit for bit.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "backend/error.h"
#include "backend/half.h"
#include "cpu/cpu_backend.h"
#include "cpu/machine.h"
#include "ops_cases.h"
#include "quant_cases.h"
#include "test.h"
#ifdef GATTLING_X86
#include "cpu/amx.h"
#endif

using namespace gattling;
using namespace ops;

namespace twin {
#define INLINE [[maybe_unused]] static inline
#include "cpu/tiles.h"
}  // namespace twin

namespace {

bf16 half_of(float value) {
  bf16 half;
  narrow(value, half);
  return half;
}

// One row of 32 columns times one output, added to `sum`.
float multiply(const std::vector<float>& row, const std::vector<float>& weights, float sum) {
  twin::TileShapes shapes;
  shapes.rows[0] = shapes.rows[4] = 1;
  shapes.rows[6] = 16;
  shapes.row_bytes[0] = shapes.row_bytes[6] = 4;
  shapes.row_bytes[4] = 64;
  bf16 a[32], b[16][2];
  for (size_t i = 0; i < 32; ++i) {
    a[i] = half_of(i < row.size() ? row[i] : 0);
    b[i / 2][i % 2] = half_of(i < weights.size() ? weights[i] : 0);
  }
  twin::shape_tiles(shapes);
  twin::load_tile<0>(&sum, 4);
  twin::load_tile<4>(a, 64);
  twin::load_tile<6>(b, 4);
  twin::multiply_tiles<0, 4, 6>();
  twin::store_tile<0>(&sum, 4);
  twin::release_tiles();
  return sum;
}

std::vector<float> halves(Random& random, size_t n) {
  std::vector<float> values = random.floats(n);
  for (float& value : values) value = widen(half_of(value));
  return values;
}

bool available(const std::string& unit) {
  return std::ranges::any_of(cpu::available_kernels(), [&](const cpu::Kernels* k) { return unit == k->unit; });
}

}  // namespace

TEST(a_tile_adds_even_and_odd_columns_apart) {
  CHECK(multiply({1, 2, 3}, {4, 5, 6}, 7) == 39);
  // 2^24 + 1 is 2^24 in fp32: the even chain loses both ones, the odd chain has 2, and they meet in the end.
  CHECK(multiply({0x1p24f, 1, 1, 1, 1}, {1, 1, 1, 1, 1}, 0) == 0x1p24f + 2);
  // The sum so far is added last: 2^24 + 1 would be 2^24 twice.
  CHECK(multiply({1, 1}, {1, 1}, 0x1p24f) == 0x1p24f + 2);
}

TEST(a_tile_takes_subnormal_numbers_for_zero) {
  CHECK(multiply({0x1p-130f}, {0x1p100f}, 0) == 0);
  CHECK(multiply({0x1p100f}, {0x1p-130f}, 0) == 0);
  CHECK(multiply({0x1p-70f}, {0x1p-70f}, 0) == 0);
  CHECK(multiply({0x1p-63f}, {0x1p-63f}, 0) == 0x1p-126f);
  CHECK(multiply({}, {}, 0x1p-140f) == 0);
}

TEST(linear_in_tiles_of_every_size) {
  for (const char* unit : {"amx-twin", "amx"}) {
    if (!available(unit)) continue;
    const auto backend = make_cpu_backend({.threads = 3, .compute = DType::BF16, .unit = unit});
    const auto check = [&](int rows, int n, int k, bool biased) {
      Random random(static_cast<uint64_t>(rows + 100 * n + 100000 * k));
      const Stored weight(random, DType::BF16, {n, k}), bias(random, DType::BF16, {n});
      std::vector<HostTensor> parts = {weight.tensor};
      if (biased) parts.push_back(bias.tensor);
      const auto packed = backend->pack(Use::AttnOut, parts, {});
      const Tensor in = backend->allocate(Role::Activation, rows, k),
                   out = backend->allocate(Role::Activation, rows, n);
      const std::vector<float> x = halves(random, static_cast<size_t>(rows * k));
      std::ranges::copy(x, static_cast<float*>(in.data));
      backend->linear({packed.get(), in, out, rows});
      const auto* have = static_cast<const float*>(out.data);
      const double off =
          error({have, have + rows * n},
                reference::linear(doubles(x), weight.values, biased ? bias.values : reference::Matrix{},
                                  static_cast<size_t>(rows), static_cast<size_t>(n), static_cast<size_t>(k)));
      if (!(off <= 4e-6))
        test::failed(__FILE__, __LINE__, concat(unit, " rows ", rows, " n ", n, " k ", k, ": relative error ", off));
    };
    for (int rows : {1, 2, 4, 5, 15, 16, 17, 31, 32, 33, 65})
      for (auto [n, k] : {std::pair{96, 100}, {250, 8}, {17, 33}, {1, 1}}) check(rows, n, k, rows % 2 == 0);
    for (int rows : {3, 20}) check(rows, 300, 1100, true);  // several panels and groups
  }
}

TEST(a_row_in_tiles_does_not_depend_on_others) {
  const auto backend = make_cpu_backend({.threads = 2, .compute = DType::BF16, .unit = "amx-twin"});
  constexpr int rows = 37, n = 50, k = 600;
  Random random(1);
  const Stored weight(random, DType::BF16, {n, k});
  const auto packed = backend->pack(Use::Head, std::vector{weight.tensor}, {});
  const Tensor in = backend->allocate(Role::Activation, rows, k), out = backend->allocate(Role::Logits, rows, n);
  const std::vector<float> x = random.floats(rows * k);
  std::ranges::copy(x, static_cast<float*>(in.data));
  backend->linear({packed.get(), in, out, rows});
  const auto* at = static_cast<const float*>(out.data);
  const std::vector<float> all(at, at + rows * n);
  for (int row : {0, 15, 16, 36}) {
    std::copy_n(&x[static_cast<size_t>(row * k)], k, static_cast<float*>(in.data));
    backend->linear({packed.get(), in, out, 1});
    CHECK(same_bits({at, at + n}, {all.begin() + row * n, all.begin() + (row + 1) * n}));
  }
}

// Of parts of several kinds each is multiplied as it is alone.
TEST(sections_of_bf16_and_integers_lie_side_by_side) {
  const auto backend = make_cpu_backend({.threads = 2, .compute = DType::BF16, .unit = "amx-twin"});
  constexpr int rows = 19, n = 24, k = 96;
  Random random(6);
  const Stored a(random, DType::BF16, {n, k}), c(random, DType::BF16, {n, k}), bias(random, DType::F32, {n});
  const RandomInts ints(random, {}, n, k);
  const std::vector<float> x = random.floats(rows * k);
  const auto run = [&](Use use, const std::vector<HostTensor>& parts, int outputs) {
    const auto packed = backend->pack(use, parts, {});
    const Tensor in = backend->allocate(Role::Activation, rows, k),
                 out = backend->allocate(Role::Activation, rows, outputs);
    std::ranges::copy(x, static_cast<float*>(in.data));
    backend->linear({packed.get(), in, out, rows});
    const auto* at = static_cast<const float*>(out.data);
    return std::vector<float>(at, at + rows * outputs);
  };
  const HostTensor b = bias.tensor;
  const auto fused = run(Use::Qkv, {a.tensor, ints.tensor(), c.tensor, b, b, b}, 3 * n);
  const std::vector<float> alone[] = {run(Use::AttnOut, {a.tensor, b}, n), run(Use::AttnOut, {ints.tensor(), b}, n),
                                      run(Use::AttnOut, {c.tensor, b}, n)};
  for (int row = 0; row < rows; ++row)
    for (int i = 0; i < 3 * n; ++i)
      CHECK(fused[static_cast<size_t>(row * 3 * n + i)] == alone[i / n][static_cast<size_t>(row * n + i % n)]);
}

#ifdef GATTLING_X86
// At sizes of whole and cut tiles, of several panels of columns and groups of tiles.
bool agree(int rows) {
  for (auto [n, k] : {std::pair<int64_t, int64_t>{40, 80}, {104, 33}, {300, 1100}})
    if (!cpu::same_products(cpu::kernels_amx(), cpu::kernels_amx_twin(), rows, n, k)) return false;
  return true;
}

TEST(vectors_give_the_bits_of_tiles) {
  if (!available("avx512")) return;
  for (int rows : {1, 2, 3, 4}) CHECK(agree(rows));
}

TEST(tile_registers_give_the_bits_of_the_twin) {
  if (!available("amx")) return;
  for (int rows = 1; rows <= 70; ++rows) CHECK(agree(rows));
}
#endif

// A path is proven here by itself or by its twin. GATTLING_ALL_PATHS asks for all that were compiled.
TEST(compiled_paths_run) {
  std::string run, not_run;
  for (const std::string& unit : cpu::compiled_units()) {
    const std::string how = available(unit) ? unit : available(unit + "-twin") ? unit + " (twin)" : "";
    (how.empty() ? not_run : run) += " " + (how.empty() ? unit : how);
  }
  std::printf("paths run:%s; not run:%s\n", run.c_str(), not_run.empty() ? " none" : not_run.c_str());
  CHECK(std::getenv("GATTLING_ALL_PATHS") == nullptr || not_run.empty());
}
