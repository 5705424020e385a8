// Linear layers of integers on device cuda: the bits of the same layer with the weights dequantised, in either kernel,
// since a weight's last bit is the same and all sums are in the same order.
#include "cuda/cuda_backend.h"
#include "ops_cases.h"
#include "quant_cases.h"
#include "test.h"

using namespace gattling;
using namespace ops;

namespace {

const BackendCase* device() {
  for (const BackendCase& backend : backend_cases())
    if (backend.name.starts_with("cuda/")) return &backend;
  return nullptr;
}

// The values of a tensor of integers as stored numbers.
struct Plain {
  std::vector<float> values;
  HostTensor tensor;

  Plain(const RandomInts& ints, int64_t n, int64_t k) {
    for (double value : ints.values()) values.push_back(static_cast<float>(value));
    tensor.name = "plain";
    tensor.dtype = DType::F32;
    tensor.shape = {n, k};
    tensor.data = reinterpret_cast<const std::byte*>(values.data());
  }
};

std::vector<float> run(Backend& b, Use use, const std::vector<HostTensor>& parts, const std::vector<float>& x,
                       int64_t k, int64_t n, size_t* bytes = nullptr) {
  const int rows = static_cast<int>(static_cast<int64_t>(x.size()) / k);
  const auto packed = b.pack(use, parts, {});
  if (bytes != nullptr) *bytes = packed->bytes();
  const Tensor in = b.allocate(Role::Activation, rows, k);
  const Tensor out = b.allocate(use == Use::Head ? Role::Logits : Role::Activation, rows, n);
  device()->write(in, x);
  b.linear({packed.get(), in, out, rows});
  if (use != Use::GateUp) return device()->read(out, rows);
  const Tensor half = b.allocate(Role::Activation, rows, n / 2);
  b.swiglu({out, half, rows});
  return device()->read(half, rows);
}

std::vector<IntsOf> forms() {
  std::vector<IntsOf> all;
  for (int bits : {4, 8})
    for (int64_t group : {16, 32, 64, 128, 0})
      for (bool offsets : {false, true}) all.push_back({bits, group, offsets});
  all.push_back({4, 32, true, false});
  all.push_back({8, 16, false, false});
  return all;
}

}  // namespace

TEST(integers_give_the_bits_of_plain_weights) {
  if (device() == nullptr) return;
  for (const DType type : {DType::BF16, DType::F16}) {
    const auto b = device()->make(type, 1);
    for (const IntsOf& form : forms()) {
      const auto check = [&](int rows, int n, int k) {
        Random random(static_cast<uint64_t>(rows + 100 * n + 100000 * k));
        const RandomInts ints(random, form, n, k);
        const Plain plain(ints, n, k);
        const std::vector<float> x = device()->exact(random.floats(static_cast<size_t>(rows * k)));
        size_t bytes = 0, plain_bytes = 0;
        const auto have = run(*b, Use::AttnOut, {ints.tensor()}, x, k, n, &bytes);
        expect_same_bits(
            *device(),
            form.name() + " of " + std::to_string(rows) + " rows, " + std::to_string(n) + " x " + std::to_string(k),
            have, run(*b, Use::AttnOut, {plain.tensor}, x, k, n, &plain_bytes));
        if (n % 16 == 0) CHECK(bytes < plain_bytes);
      };
      for (auto [n, k] : {std::pair{1, 1}, {17, 33}, {48, 100}}) check(3, n, k);
      for (int rows : {1, 8, 9, 17, 32, 33}) check(rows, 40, 160);
      check(2, 33, 1100);  // K over several warps
    }
  }
}

TEST(fused_integers_end_with_bias_and_swiglu) {
  if (device() == nullptr) return;
  const auto b = device()->make(DType::BF16, 1);
  Random random(9);
  constexpr int64_t n = 24, k = 96;
  const RandomInts gate(random, {4, 32}, n, k), up(random, {4, 32}, n, k);
  const Plain plain_gate(gate, n, k), plain_up(up, n, k);
  const Stored bias(random, DType::F32, {n});
  for (int64_t rows : {int64_t{2}, int64_t{40}}) {
    const std::vector<float> x = device()->exact(random.floats(static_cast<size_t>(rows * k)));
    expect_same_bits(*device(), "swiglu", run(*b, Use::GateUp, {gate.tensor(), up.tensor()}, x, k, 2 * n),
                     run(*b, Use::GateUp, {plain_gate.tensor, plain_up.tensor}, x, k, 2 * n));
    expect_same_bits(*device(), "bias", run(*b, Use::AttnOut, {gate.tensor(), bias.tensor}, x, k, n),
                     run(*b, Use::AttnOut, {plain_gate.tensor, bias.tensor}, x, k, n));
  }
}

// Of other groups beside each other, or in an order of their own, there is no packed form here: they are dequantised.
TEST(what_cannot_stay_integers_is_dequantised) {
  if (device() == nullptr) return;
  const auto b = device()->make(DType::F16, 1);
  Random random(4);
  constexpr int64_t n = 16, k = 256;
  const RandomInts a(random, {4, 32}, n, k), c(random, {8, 16}, n, k),
      ordered(random, {4, 128, true, false, true}, n, k);
  const Plain plain_a(a, n, k), plain_c(c, n, k), plain_ordered(ordered, n, k);
  const std::vector<float> x = device()->exact(random.floats(3 * k));
  size_t bytes = 0;
  expect_same_bits(*device(), "mixed", run(*b, Use::GateUp, {a.tensor(), c.tensor()}, x, k, 2 * n, &bytes),
                   run(*b, Use::GateUp, {plain_a.tensor, plain_c.tensor}, x, k, 2 * n));
  CHECK(bytes == 2 * n * k * 2);
  expect_same_bits(*device(), "act-order", run(*b, Use::AttnOut, {ordered.tensor()}, x, k, n, &bytes),
                   run(*b, Use::AttnOut, {plain_ordered.tensor}, x, k, n));
  CHECK(bytes == n * k * 2);
}

// A tied head is the table, of which rows are read.
TEST(heads_and_tables_stay_plain) {
  if (device() == nullptr) return;
  const auto b = device()->make(DType::F16, 1);
  Random random(2);
  const RandomInts ints(random, {}, 32, 64);
  for (const Use use : {Use::Head, Use::Embedding})
    CHECK(b->pack(use, std::vector{ints.tensor()}, {})->bytes() == 32 * 64 * 2);
}
