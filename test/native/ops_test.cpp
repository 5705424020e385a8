// Each op of each backend against its reference, at awkward sizes.
#include <algorithm>
#include <string>

#include "backend/error.h"
#include "ops_cases.h"
#include "test.h"

using namespace gattling;
using namespace ops;

namespace {

constexpr int kRowCounts[] = {1, 2, 3, 4, 5, 7, 16, 17, 33};
constexpr DType kTypes[] = {DType::F32, DType::BF16, DType::F16};

template <typename Fn>
void each_backend(const Fn& fn) {
  for (const BackendCase& backend : backend_cases())
    for (int threads : {1, 3})
      if (backend.takes(threads)) fn(backend, *backend.make(DType::F32, threads));
}

std::string sizes(DType dtype, int rows, int n, int k) {
  return std::string(name_of(dtype)) + " rows " + std::to_string(rows) + " n " + std::to_string(n) + " k " +
         std::to_string(k);
}

Tensor upload(const BackendCase& backend, Backend& b, Role role, const std::vector<float>& values, int64_t cols) {
  const Tensor tensor = b.allocate(role, static_cast<int64_t>(values.size()) / cols, cols);
  backend.write(tensor, values);
  return tensor;
}

// A state without a use for attention, for ops that only need a step.
StateShape plain_state(int vocab_size, int max_rows) {
  return {.n_slots = 4,
          .max_rows = max_rows,
          .max_blocks = 4,
          .n_blocks = 16,
          .block_size = 16,
          .n_layers = 1,
          .n_heads = 1,
          .n_kv_heads = 1,
          .head_dim = 8,
          .vocab_size = vocab_size,
          .hidden_size = 8,
          .sliding_window = 0,
          .kv_dtype = DType::F32,
          .inv_freq = {1, 0.1f, 0.01f, 0.001f}};
}

void check_linear(const BackendCase& backend, Backend& b, DType dtype, int rows, int n, int k) {
  Random random(static_cast<uint64_t>(rows + 100 * n + 100000 * k));
  Stored weight(random, dtype, {n, k});
  const std::vector<float> x = backend.exact(random.floats(static_cast<size_t>(rows * k)));
  const auto packed = b.pack(Use::Head, std::vector{weight.tensor}, {});
  const Tensor in = upload(backend, b, Role::Activation, x, k);
  const Tensor out = b.allocate(Role::Logits, rows, n);
  b.linear({packed.get(), in, out, rows});
  expect_near(backend, "linear " + sizes(dtype, rows, n, k), backend.read(out, rows),
              reference::linear(doubles(x), weight.values, {}, static_cast<size_t>(rows), static_cast<size_t>(n),
                                static_cast<size_t>(k)));
}

}  // namespace

TEST(linear_of_every_size) {
  each_backend([](const BackendCase& backend, Backend& b) {
    for (DType dtype : kTypes) {
      for (int rows : kRowCounts)
        for (auto [n, k] : {std::pair{96, 100}, {250, 8}, {17, 33}}) check_linear(backend, b, dtype, rows, n, k);
      for (auto [n, k] : {std::pair{1, 1}, {1, 96}, {16, 32}, {512, 96}, {1000, 8}, {100, 250}, {33, 1023}})
        for (int rows : {1, 4, 7}) check_linear(backend, b, dtype, rows, n, k);
    }
  });
}

TEST(linear_of_fused_weights_with_biases) {
  each_backend([](const BackendCase& backend, Backend& b) {
    for (DType dtype : kTypes) {
      constexpr int k = 36, nq = 40, nkv = 20, rows = 5;
      Random random(7);
      Stored q(random, dtype, {nq, k}), key(random, dtype, {nkv, k}), v(random, dtype, {nkv, k});
      Stored bq(random, dtype, {nq}), bk(random, dtype, {nkv}), bv(random, dtype, {nkv});
      const auto joined = [](const Stored& x, const Stored& y, const Stored& z) {
        reference::Matrix all(x.values);
        all.insert(all.end(), y.values.begin(), y.values.end());
        all.insert(all.end(), z.values.begin(), z.values.end());
        return all;
      };
      const std::vector<float> x = backend.exact(random.floats(rows * k));
      const auto packed =
          b.pack(Use::Qkv, std::vector{q.tensor, key.tensor, v.tensor, bq.tensor, bk.tensor, bv.tensor}, {});
      const Tensor in = upload(backend, b, Role::Activation, x, k);
      const Tensor out = b.allocate(Role::Activation, rows, nq + 2 * nkv);
      b.linear({packed.get(), in, out, rows});
      expect_near(backend, "qkv", backend.read(out, rows),
                  reference::linear(doubles(x), joined(q, key, v), joined(bq, bk, bv), rows, nq + 2 * nkv, k));
    }
  });
}

TEST(rmsnorm_with_and_without_delta) {
  each_backend([](const BackendCase& backend, Backend& b) {
    for (int n : {1, 8, 96, 100})
      for (int rows : kRowCounts)
        for (bool with_delta : {false, true}) {
          Random random(static_cast<uint64_t>(n * rows));
          const size_t size = static_cast<size_t>(n * rows);
          std::vector<float> x = random.floats(size);
          const std::vector<float> delta = backend.exact(random.floats(size));
          Stored scale(random, DType::BF16, {n});
          const auto packed = b.pack(Use::Norm, std::vector{scale.tensor}, {});
          const Tensor residual = upload(backend, b, Role::Residual, x, n);
          const Tensor added = upload(backend, b, Role::Activation, delta, n);
          const Tensor out = b.allocate(Role::Activation, rows, n);
          b.rmsnorm({residual, with_delta ? &added : nullptr, packed.get(), 1e-5f, out, rows});
          if (with_delta)
            for (size_t i = 0; i < size; ++i) x[i] += delta[i];
          expect_same_bits(backend, "residual", backend.read(residual, rows), x);
          expect_near(
              backend, "rmsnorm " + sizes(DType::BF16, rows, n, n), backend.read(out, rows),
              reference::rmsnorm(doubles(x), scale.values, 1e-5, static_cast<size_t>(rows), static_cast<size_t>(n)));
        }
  });
}

TEST(swiglu_of_what_linear_made) {
  each_backend([](const BackendCase& backend, Backend& b) {
    for (DType dtype : kTypes)
      for (int f : {1, 16, 250})
        for (int rows : {1, 3, 17}) {
          constexpr int k = 24;
          Random random(static_cast<uint64_t>(f));
          Stored gate(random, dtype, {f, k}, 4), up(random, dtype, {f, k});
          const std::vector<float> x = backend.exact(random.floats(static_cast<size_t>(rows * k)));
          const auto packed = b.pack(Use::GateUp, std::vector{gate.tensor, up.tensor}, {});
          const Tensor in = upload(backend, b, Role::Activation, x, k);
          const Tensor both = b.allocate(Role::Activation, rows, 2 * f);
          const Tensor out = b.allocate(Role::Activation, rows, f);
          b.linear({packed.get(), in, both, rows});
          b.swiglu({both, out, rows});
          const auto part = [&](const Stored& weight) {
            return reference::linear(doubles(x), weight.values, {}, static_cast<size_t>(rows), static_cast<size_t>(f),
                                     k);
          };
          expect_near(backend, "swiglu", backend.read(out, rows), reference::swiglu(part(gate), part(up)));
        }
  });
}

TEST(swiglu_of_extreme_gates) {
  each_backend([](const BackendCase& backend, Backend& b) {
    std::vector<float> gate = {-1e30f, -200, -90, -20, -1e-30f, 0, 1e-30f, 20, 90, 200, 1e30f};
    if (backend.half_activations)
      for (float& value : gate) value = std::clamp(value, -60000.0f, 60000.0f);
    gate = backend.exact(gate);
    std::vector<float> both = gate;
    both.resize(2 * gate.size(), 1);
    const int64_t f = static_cast<int64_t>(gate.size());
    const Tensor in = upload(backend, b, Role::Activation, both, 2 * f);
    const Tensor out = b.allocate(Role::Activation, 1, f);
    b.swiglu({in, out, 1});
    const std::vector<float> have = backend.read(out, 1);
    for (size_t i = 0; i < gate.size(); ++i) {
      const double want = reference::swiglu({gate[i]}, {1})[0];
      CHECK(std::abs(have[i] - want) <= (backend.half_activations ? 1e-3 : 1e-6) * std::abs(want) + 1e-7);
    }
  });
}

TEST(embed_reads_tables_and_heads) {
  each_backend([](const BackendCase& backend, Backend& b) {
    for (DType dtype : kTypes)
      for (int vocab : {1, 17, 512})
        for (Use use : {Use::Embedding, Use::Head}) {
          constexpr int hidden = 100, rows = 7;
          Random random(static_cast<uint64_t>(vocab));
          Stored table(random, dtype, {vocab, hidden});
          const auto packed = b.pack(use, std::vector{table.tensor}, {});
          b.allocate_state(plain_state(vocab, rows));
          Step step;
          reference::Matrix want;
          for (int i = 0; i < rows; ++i) {
            step.tokens.push_back(random.below(vocab));
            const auto row = table.values.begin() + step.tokens.back() * hidden;
            want.insert(want.end(), row, row + hidden);
          }
          step.slices = {{0, 0, rows, false, false, -1, 0, 0, Rows::None}};
          const Tensor out = b.allocate(Role::Residual, rows, hidden);
          b.begin(step);
          b.embed({packed.get(), out, rows});
          b.collect(b.end());
          CHECK(error(backend.read(out, rows), want) <= (backend.half_activations ? 0x1p-11 : 0));
        }
  });
}

TEST(gather_and_hidden_take_the_rows_asked_for) {
  each_backend([](const BackendCase& backend, Backend& b) {
    constexpr int n = 10, rows = 9;
    Random random(3);
    b.allocate_state(plain_state(4, rows));
    const std::vector<float> x = backend.exact(random.floats(n * rows));
    const Tensor in = upload(backend, b, Role::Activation, x, n);
    const Tensor out = b.allocate(Role::Activation, rows, n);
    Step step;
    step.tokens.assign(rows, 1);
    step.targets = {2, 3};
    step.slices = {{0, 0, 3, true, false, -1, 0, 0, Rows::Last},
                   {1, 5, 4, false, false, -1, 2, 0, Rows::Sum},
                   {2, 0, 2, true, false, -1, 0, 0, Rows::All}};
    const auto rows_of = [&](std::vector<int> wanted) {
      std::vector<float> all;
      for (int row : wanted) all.insert(all.end(), x.begin() + row * n, x.begin() + (row + 1) * n);
      return all;
    };
    b.begin(step);
    b.gather({in, out, 1, 3});  // outputs are rows 2, 3, 4, 8
    b.read_hidden(in);
    const StepResult& result = b.collect(b.end());
    expect_same_bits(backend, "gather", backend.read(out, 3), rows_of({3, 4, 8}));
    std::vector<float> hidden = rows_of({2, 3, 7, 8});
    for (int row : {4, 5, 6})
      for (int i = 0; i < n; ++i) hidden[static_cast<size_t>(n + i)] += x[static_cast<size_t>(row * n + i)];
    expect_same_bits(backend, "hidden", result.hidden, hidden);
  });
}

TEST(a_step_beyond_the_state_is_an_error) {
  each_backend([](const BackendCase&, Backend& b) {
    b.allocate_state(plain_state(4, 3));
    const Slice slice = {0, 0, 1, false, false, -1, 0, 0, Rows::None};
    Step step;
    const auto begin = [&](Slice changed, std::vector<int32_t> tokens) {
      step.slices = {changed};
      step.tokens = std::move(tokens);
      b.begin(step);
    };
    begin(slice, {3});
    THROWS("vocabulary", begin(slice, {4}));
    THROWS("vocabulary", begin(slice, {-2}));
    THROWS("slices of a step", begin(slice, {1, 2}));
    Slice other = slice;
    other.slot = 4;
    THROWS("Slot 4", begin(other, {1}));
    other = slice;
    other.start = 64;
    THROWS("positions of a sequence", begin(other, {1}));
    step.blocks = {{0, 4, 0}};
    THROWS("index 4", begin(slice, {1}));
  });
}
