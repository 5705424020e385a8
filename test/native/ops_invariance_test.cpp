// A row's bits do not depend on how many rows a call has, on its index, or on the number of threads.
#include <string>

#include "quant_cases.h"
#include "test.h"

using namespace gattling;
using namespace ops;

namespace {

constexpr int kMost = 41;  // rows

// out rows of op(x), for the rows of x in `order`.
using Op = std::function<std::vector<float>(Backend& b, const std::vector<int>& order)>;

std::vector<float> pick(const std::vector<float>& rows, const std::vector<int>& order) {
  const size_t size = rows.size() / kMost;
  std::vector<float> all;
  for (int row : order)
    all.insert(all.end(), rows.begin() + row * static_cast<ptrdiff_t>(size),
               rows.begin() + (row + 1) * static_cast<ptrdiff_t>(size));
  return all;
}

void expect_invariant(const BackendCase& backend, const std::string& what, const Op& op) {
  std::vector<int> all, reversed;
  for (int row = 0; row < kMost; ++row) all.push_back(row);
  reversed.assign(all.rbegin(), all.rend());
  const auto one = backend.make(DType::F32, 1);
  const std::vector<float> whole = op(*one, all);
  for (int threads : {1, 2, 3, 8}) {
    if (!backend.takes(threads)) continue;
    const auto b = backend.make(DType::F32, threads);
    expect_same_bits(backend, what + " with threads", op(*b, all), whole);
    expect_same_bits(backend, what + " reversed", op(*b, reversed), pick(whole, reversed));
    for (int rows : {1, 2, 3, 4, 5, 6, 7, 8, 13, 16, 17}) {
      const std::vector<int> some(reversed.begin() + 3, reversed.begin() + 3 + rows);
      expect_same_bits(backend, what + " of " + std::to_string(rows) + " rows", op(*b, some), pick(whole, some));
    }
  }
}

}  // namespace

TEST(linear_bits) {
  for (const BackendCase& backend : backend_cases())
    for (DType dtype : {DType::F32, DType::BF16, DType::F16})
      for (auto [n, k] : {std::pair{100, 96}, {17, 33}, {208, 250}}) {
        Random random(5);
        const Stored weight(random, dtype, {n, k}), bias(random, DType::F32, {n});
        const std::vector<float> x = random.floats(static_cast<size_t>(kMost * k));
        const int outputs = n, inputs = k;
        expect_invariant(backend, std::string("linear ") + name_of(dtype),
                         [&](Backend& b, const std::vector<int>& order) {
                           const auto packed = b.pack(Use::AttnOut, std::vector{weight.tensor, bias.tensor}, {});
                           const Tensor in = b.allocate(Role::Activation, kMost, inputs);
                           const Tensor out = b.allocate(Role::Activation, kMost, outputs);
                           backend.write(in, pick(x, order));
                           b.linear({packed.get(), in, out, static_cast<int>(order.size())});
                           return backend.read(out, static_cast<int64_t>(order.size()));
                         });
      }
}

TEST(linear_bits_of_integers) {
  for (const BackendCase& backend : backend_cases())
    for (const IntsOf& form : {IntsOf{8, 32}, IntsOf{4, 32, true}, IntsOf{8, 16, true, false}, IntsOf{4, 0}})
      for (auto [n, k] : {std::pair{100, 96}, {208, 250}}) {
        Random random(9);
        const RandomInts weight(random, form, n, k);
        const std::vector<float> x = random.floats(static_cast<size_t>(kMost * k));
        const int outputs = n, inputs = k;
        expect_invariant(backend, form.name(), [&](Backend& b, const std::vector<int>& order) {
          const auto packed = b.pack(Use::Down, std::vector{weight.tensor()}, {});
          const Tensor in = b.allocate(Role::Activation, kMost, inputs);
          const Tensor out = b.allocate(Role::Activation, kMost, outputs);
          backend.write(in, pick(x, order));
          b.linear({packed.get(), in, out, static_cast<int>(order.size())});
          return backend.read(out, static_cast<int64_t>(order.size()));
        });
      }
}

TEST(rmsnorm_bits) {
  for (const BackendCase& backend : backend_cases()) {
    constexpr int n = 100;
    Random random(6);
    const Stored scale(random, DType::F32, {n});
    const std::vector<float> x = random.floats(kMost * n), delta = random.floats(kMost * n);
    expect_invariant(backend, "rmsnorm", [&](Backend& b, const std::vector<int>& order) {
      const auto packed = b.pack(Use::Norm, std::vector{scale.tensor}, {});
      const Tensor residual = b.allocate(Role::Residual, kMost, n);
      const Tensor added = b.allocate(Role::Activation, kMost, n);
      const Tensor out = b.allocate(Role::Activation, kMost, n);
      backend.write(residual, pick(x, order));
      backend.write(added, pick(delta, order));
      b.rmsnorm({residual, &added, packed.get(), 1e-6f, out, static_cast<int>(order.size())});
      return backend.read(out, static_cast<int64_t>(order.size()));
    });
  }
}

TEST(swiglu_bits) {
  for (const BackendCase& backend : backend_cases()) {
    constexpr int f = 37;
    Random random(8);
    const std::vector<float> x = random.floats(kMost * 2 * f);
    expect_invariant(backend, "swiglu", [&](Backend& b, const std::vector<int>& order) {
      const Tensor in = b.allocate(Role::Activation, kMost, 2 * f);
      const Tensor out = b.allocate(Role::Activation, kMost, f);
      backend.write(in, pick(x, order));
      b.swiglu({in, out, static_cast<int>(order.size())});
      return backend.read(out, static_cast<int64_t>(order.size()));
    });
  }
}
