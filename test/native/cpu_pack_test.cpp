// How weights lie in memory, their conversion and their shards; half.h; what the machine is asked.
#include <cmath>
#include <cstring>
#include <limits>

#include "backend/error.h"
#include "backend/half.h"
#include "cpu/machine.h"
#include "cpu/pack.h"
#include "ops_cases.h"
#include "test.h"

using namespace gattling;
using namespace gattling::cpu;
using ops::Random;
using ops::Stored;

namespace {

float element(const Section& weight, int64_t n, int64_t k) {
  const int64_t tile = n / 16 * weight.tile_size();
  if (weight.dtype == DType::BF16)
    return widen(reinterpret_cast<const bf16*>(weight.data.data())[tile + k / 2 * 32 + n % 16 * 2 + k % 2]);
  if (weight.dtype == DType::F16)
    return widen(reinterpret_cast<const f16*>(weight.data.data())[tile + k * 16 + n % 16]);
  return reinterpret_cast<const float*>(weight.data.data())[tile + k * 16 + n % 16];
}

std::vector<float> dense(const CpuWeight& weight) {
  std::vector<float> all(static_cast<size_t>(weight.n * weight.k));
  for (int64_t row = 0; row < weight.n; ++row) read_row(weight, row, &all[static_cast<size_t>(row * weight.k)]);
  return all;
}

uint16_t to_bf16(float value) {
  bf16 half;
  narrow(value, half);
  return half.bits;
}

uint16_t to_f16(float value) {
  f16 half;
  narrow(value, half);
  return half.bits;
}

}  // namespace

TEST(halves_round_to_nearest_even) {
  CHECK(to_bf16(1.0f) == 0x3f80 && to_bf16(-2.0f) == 0xc000 && to_bf16(-0.0f) == 0x8000);
  CHECK(to_bf16(0x1.01p0f) == 0x3f80);  // halfway: to even
  CHECK(to_bf16(0x1.03p0f) == 0x3f82);  // halfway: to even, upwards
  CHECK(to_bf16(0x1.010002p0f) == 0x3f81);
  CHECK(to_bf16(std::numeric_limits<float>::max()) == 0x7f80);
  CHECK(std::isnan(widen(bf16{to_bf16(std::numeric_limits<float>::signaling_NaN())})));
  CHECK(to_f16(1.0f) == 0x3c00 && to_f16(-0.0f) == 0x8000 && to_f16(65504.0f) == 0x7bff);
  CHECK(to_f16(65519.0f) == 0x7bff && to_f16(65520.0f) == 0x7c00 && to_f16(-1e30f) == 0xfc00);
  CHECK(to_f16(0x1p-24f) == 0x0001 && to_f16(0x1p-25f) == 0x0000 && to_f16(0x1.8p-24f) == 0x0002);
  CHECK(to_f16(0x1.004p0f) == 0x3c01 && to_f16(0x1.002p0f) == 0x3c00 && to_f16(0x1.006p0f) == 0x3c02);
  CHECK(std::isnan(widen(f16{to_f16(std::numeric_limits<float>::quiet_NaN())})));
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const f16 half = {static_cast<uint16_t>(bits)};
    const int exponent = static_cast<int>(bits >> 10 & 31);
    const double fraction = static_cast<double>(bits & 1023) / 1024;
    const double magnitude = exponent == 0 ? std::ldexp(fraction, -14) : std::ldexp(1 + fraction, exponent - 15);
    if (exponent == 31) {
      CHECK(fraction == 0 ? std::isinf(widen(half)) : std::isnan(widen(half)));
    } else {
      CHECK(widen(half) == static_cast<float>(bits & 0x8000 ? -magnitude : magnitude));
      CHECK(to_f16(widen(half)) == bits);
    }
  }
}

TEST(tiles_hold_every_element_and_zeros_around) {
  ThreadPool pool(2);
  for (DType dtype : {DType::F32, DType::BF16, DType::F16})
    for (auto [n, k] : {std::pair<int64_t, int64_t>{1, 1}, {16, 32}, {17, 33}, {40, 600}}) {
      Random random(2);
      const Stored stored(random, dtype, {n, k});
      const auto weight = pack_weight(Use::Head, std::vector{stored.tensor}, {}, DType::F32, pool);
      CHECK(weight->n == n && weight->k == k && weight->sections.size() == 1);
      const Section& section = weight->sections[0];
      CHECK(section.dtype == dtype && section.n == n && section.k == k);
      const int64_t depth = (k + 31) / 32 * 32;
      CHECK(weight->bytes() == static_cast<size_t>((n + 15) / 16 * 16 * depth) * size_of(dtype));
      for (int64_t row = 0; row < (n + 15) / 16 * 16; ++row)
        for (int64_t col = 0; col < depth; ++col) {
          const double want = row < n && col < k ? stored.values[static_cast<size_t>(row * k + col)] : 0;
          CHECK(element(section, row, col) == want);
        }
      CHECK(ops::error(dense(*weight), stored.values) == 0);
    }
}

TEST(compute_decides_the_stored_type) {
  ThreadPool pool(1);
  Random random(3);
  const Stored single(random, DType::F32, {18, 20}), brain(random, DType::BF16, {18, 20}),
      half(random, DType::F16, {18, 20});
  const auto pack = [&](const Stored& stored, DType compute) {
    return pack_weight(Use::Head, std::vector{stored.tensor}, {}, compute, pool);
  };
  for (const Stored* stored : {&single, &brain, &half}) {
    CHECK(pack(*stored, DType::F32)->sections[0].dtype == stored->tensor.dtype);
    CHECK(pack(*stored, DType::BF16)->sections[0].dtype == DType::BF16);
    CHECK(pack(*stored, DType::F16)->sections[0].dtype == DType::F16);
    for (DType compute : {DType::BF16, DType::F16}) {
      const std::vector<float> have = dense(*pack(*stored, compute));
      for (size_t i = 0; i < have.size(); ++i) {
        const float value = static_cast<float>(stored->values[i]);
        CHECK(have[i] == (compute == DType::BF16 ? widen(bf16{to_bf16(value)}) : widen(f16{to_f16(value)})));
      }
    }
  }
  const auto mixed = pack_weight(Use::GateUp, std::vector{brain.tensor, half.tensor}, {}, DType::F32, pool);
  CHECK(mixed->sections[0].dtype == DType::F32);
  const Stored scale(random, DType::F16, {20});
  CHECK(pack_weight(Use::Norm, std::vector{scale.tensor}, {}, DType::BF16, pool)->sections[0].dtype == DType::F32);
}

TEST(shards_make_up_the_whole) {
  const auto backend = ops::backend_cases().front().make(DType::F32, 2);
  const ops::BackendCase& io = ops::backend_cases().front();
  constexpr int k = 32, n = 48, rows = 3;
  Random random(4);
  const Stored a(random, DType::BF16, {n, k}), b(random, DType::BF16, {n, k}), bias_a(random, DType::F32, {n}),
      bias_b(random, DType::F32, {n}), bias_c(random, DType::F32, {n});
  const std::vector<float> x = random.floats(rows * k);
  // What a rank makes of its columns of x.
  const auto run = [&](Use use, const std::vector<HostTensor>& parts, Shard shard, int outputs, int first, int count) {
    std::vector<float> columns;
    for (int row = 0; row < rows; ++row)
      columns.insert(columns.end(), x.begin() + row * k + first, x.begin() + row * k + first + count);
    const auto weight = backend->pack(use, parts, shard);
    const Tensor in = backend->allocate(Role::Activation, rows, count);
    const Tensor out = backend->allocate(Role::Activation, rows, outputs);
    io.write(in, columns);
    backend->linear({weight.get(), in, out, rows});
    return io.read(out, rows);
  };
  for (Use use : {Use::AttnOut, Use::Down}) {
    std::vector<HostTensor> parts = {a.tensor};
    if (use == Use::AttnOut) parts.push_back(bias_a.tensor);
    const std::vector<float> whole = run(use, parts, {}, n, 0, k);
    const std::vector<float> first = run(use, parts, {0, 2}, n, 0, k / 2),
                             second = run(use, parts, {1, 2}, n, k / 2, k / 2);
    for (size_t i = 0; i < whole.size(); ++i) CHECK(std::abs(whole[i] - (first[i] + second[i])) < 1e-5);
  }
  // Rows: each part gives its half, in order.
  const auto expect_rows = [&](Use use, const std::vector<HostTensor>& parts, int n_parts) {
    const int outputs = n_parts * n, part = n / 2;
    const std::vector<float> whole = run(use, parts, {}, outputs, 0, k);
    for (int rank : {0, 1}) {
      const std::vector<float> half = run(use, parts, {rank, 2}, outputs / 2, 0, k);
      for (int row = 0; row < rows; ++row)
        for (int p = 0; p < n_parts; ++p)
          for (int i = 0; i < part; ++i)
            CHECK(half[static_cast<size_t>(row * outputs / 2 + p * part + i)] ==
                  whole[static_cast<size_t>(row * outputs + p * n + rank * part + i)]);
    }
  };
  expect_rows(Use::GateUp, {a.tensor, b.tensor}, 2);
  expect_rows(Use::Qkv, {a.tensor, b.tensor, a.tensor, bias_a.tensor, bias_b.tensor, bias_c.tensor}, 3);
  // The head is whole on each rank.
  CHECK(run(Use::Head, {a.tensor}, {1, 2}, n, 0, k) == run(Use::Head, {a.tensor}, {}, n, 0, k));
}

TEST(parts_that_do_not_belong_together_are_named) {
  ThreadPool pool(1);
  Random random(5);
  const Stored matrix(random, DType::F32, {6, 4}), other(random, DType::F32, {6, 5}), vector(random, DType::F32, {5});
  const auto pack = [&](Use use, std::vector<HostTensor> parts, Shard shard = {}) {
    pack_weight(use, parts, shard, DType::F32, pool);
  };
  THROWS("takes 2 tensors, not 1", pack(Use::GateUp, {matrix.tensor}));
  THROWS("takes 5 inputs", pack(Use::GateUp, {matrix.tensor, other.tensor}));
  THROWS("has 5 elements; it has 6", pack(Use::AttnOut, {matrix.tensor, vector.tensor}));
  THROWS("dimensions", pack(Use::Norm, {matrix.tensor}));
  THROWS("4 ranks do not divide", pack(Use::GateUp, {matrix.tensor, matrix.tensor}, {0, 4}));
  THROWS("3 ranks do not divide", pack(Use::Down, {matrix.tensor}, {0, 3}));
  THROWS("Rank 2 of 2", pack(Use::Head, {matrix.tensor}, {2, 2}));
}

TEST(the_machine_is_described) {
  CHECK(physical_cores() >= 1);
  CHECK(available_memory() > 0);
  CHECK(std::string(available_kernels().back()->unit) == "amx-twin");
  unsetenv("GATTLING_CPU");
  CHECK(std::string(find_kernels("").unit) == available_kernels().front()->unit);
  setenv("GATTLING_CPU", "plain", 1);
  CHECK(std::string(find_kernels("").unit) == "plain");
  CHECK(std::string(find_kernels("amx-twin").unit) == "amx-twin");
  setenv("GATTLING_CPU", "avx9", 1);
  THROWS("GATTLING_CPU: the arithmetic unit \"avx9\" is not one that this machine has", find_kernels(""));
  unsetenv("GATTLING_CPU");
  THROWS("plain", find_kernels("amx9"));
  THROWS("The arithmetic unit \"amx9\" is not one that this machine has", find_kernels("amx9"));
}

TEST(untouched_cache_blocks_cost_nothing) {
  const auto backend = ops::backend_cases().front().make(DType::F32, 1);
  StateShape shape{};
  shape.n_slots = shape.max_rows = shape.max_blocks = shape.n_layers = shape.n_heads = shape.n_kv_heads = 1;
  shape.block_size = 16;
  shape.head_dim = 64;
  shape.vocab_size = shape.hidden_size = 1;
  shape.kv_dtype = DType::BF16;
  shape.inv_freq.assign(32, 0);
  CHECK(backend->block_bytes(shape) == 2 * 16 * 64 * 2);
  shape.n_blocks = 1 << 24;  // 64 GiB
  backend->allocate_state(shape);
  shape.head_dim = 63;
  THROWS("63", backend->allocate_state(shape));
}
