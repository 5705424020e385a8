// Linear layers and tables of integers, on every unit of the CPU, against a double reference of the dequantised weight
// and the rounded activations.
#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/error.h"
#include "quant_cases.h"
#include "test.h"

using namespace gattling;
using namespace ops;

namespace {

constexpr int kRowCounts[] = {1, 2, 3, 5, 16, 17, 33};

template <typename Fn>
void each_unit(const Fn& fn) {
  for (const BackendCase& backend : backend_cases())
    if (backend.name.starts_with("cpu/")) fn(backend, *backend.make(DType::F32, 2));
}

std::vector<float> run(const BackendCase& io, Backend& b, Use use, const std::vector<HostTensor>& parts,
                       const std::vector<float>& x, int64_t k, int64_t n, Shard shard = {}) {
  const int rows = static_cast<int>(static_cast<int64_t>(x.size()) / k);
  const auto packed = b.pack(use, parts, shard);
  const Tensor in = b.allocate(Role::Activation, rows, k), out = b.allocate(Role::Logits, rows, n);
  io.write(in, x);
  b.linear({packed.get(), in, out, rows});
  return io.read(out, rows);
}

reference::Matrix expected(const std::vector<float>& x, const RandomInts& weight, int64_t n, int64_t k,
                           const reference::Matrix& bias = {}) {
  return reference::linear(rounded(x, weight, k), weight.values(), bias, x.size() / static_cast<size_t>(k),
                           static_cast<size_t>(n), static_cast<size_t>(k));
}

std::vector<IntsOf> all_forms() {
  std::vector<IntsOf> all;
  for (int bits : {4, 8})
    for (int64_t group : {16, 32, 64, 128, 0})
      for (bool offsets : {false, true}) all.push_back({bits, group, offsets});
  all.push_back({4, 32, true, false});
  all.push_back({8, 16, false, false});
  all.push_back({4, 128, true, false, true});
  all.push_back({8, 0, false, true, true});
  return all;
}

// [rows, n] of what stands side by side.
std::vector<float> columns(const std::vector<float>& all, size_t stride, size_t first, size_t n) {
  std::vector<float> out;
  for (size_t row = 0; row * stride < all.size(); ++row)
    out.insert(out.end(), all.begin() + static_cast<ptrdiff_t>(row * stride + first),
               all.begin() + static_cast<ptrdiff_t>(row * stride + first + n));
  return out;
}

}  // namespace

TEST(linear_of_integers) {
  each_unit([](const BackendCase& backend, Backend& b) {
    for (const IntsOf& form : all_forms()) {
      const auto check = [&](int rows, int n, int k) {
        Random random(static_cast<uint64_t>(rows + 100 * n + 100000 * k));
        const RandomInts weight(random, form, n, k);
        const std::vector<float> x = random.floats(static_cast<size_t>(rows * k));
        expect_near(
            backend,
            form.name() + " of " + std::to_string(rows) + " rows, " + std::to_string(n) + " x " + std::to_string(k),
            run(backend, b, Use::Head, {weight.tensor()}, x, k, n), expected(x, weight, n, k));
      };
      for (int rows : kRowCounts) check(rows, 100, 160);
      for (auto [n, k] : {std::pair{1, 1}, {16, 8}, {17, 33}, {48, 100}, {33, 520}, {130, 1056}})
        for (int rows : {1, 7}) check(rows, n, k);
    }
  });
}

TEST(extremes_do_not_overflow) {
  each_unit([](const BackendCase& backend, Backend& b) {
    for (int bits : {4, 8})
      for (int8_t q : {static_cast<int8_t>(-(1 << (bits - 1))), static_cast<int8_t>((1 << (bits - 1)) - 1)}) {
        struct Constant final : Quantised {
          int n_bits;
          int8_t value;
          Constant(int n, int8_t v) : n_bits(n), value(v) {}
          int bits() const override { return n_bits; }
          int64_t group() const override { return 32; }
          bool has_offsets() const override { return false; }
          void read(int64_t, int64_t, int64_t count, int8_t* to, float* scales, float*) const override {
            std::fill_n(to, count * 32, value);
            std::fill_n(scales, count, 0.5f);
          }
        } const constant(bits, q);
        HostTensor tensor{"constant", DType::F32, {16, 64}};
        tensor.quantised = &constant;
        for (float sign : {1.0f, -1.0f}) {
          const std::vector<float> out = run(backend, b, Use::Head, {tensor}, std::vector<float>(64, sign), 64, 16);
          for (float value : out) CHECK(std::abs(value - sign * 32 * static_cast<float>(q)) < 1e-3f);
        }
      }
  });
}

TEST(units_with_fused_multiply_add_agree_bit_for_bit) {
  for (const IntsOf& form : all_forms()) {
    Random random(11);
    const RandomInts weight(random, form, 52, 300);
    const std::vector<float> x = random.floats(7 * 300);
    std::vector<float> first;
    each_unit([&](const BackendCase& backend, Backend& b) {
      if (backend.name == "cpu/plain") return;
      const std::vector<float> out = run(backend, b, Use::Head, {weight.tensor()}, x, 300, 52);
      if (first.empty()) first = out;
      expect_same_bits(backend, form.name(), out, first);
    });
  }
}

TEST(parts_of_different_forms_are_fused) {
  each_unit([](const BackendCase& backend, Backend& b) {
    constexpr int k = 96, nq = 40, nkv = 20, n = nq + 2 * nkv;
    Random random(12);
    const RandomInts q(random, {4, 32, true}, nq, k), key(random, {4, 32, true, true, true}, nkv, k),
        v(random, {8, 16, false, false}, nkv, k);
    const Stored dense(random, DType::BF16, {nkv, k}), bq(random, DType::F32, {nq}), bk(random, DType::F16, {nkv}),
        bv(random, DType::F32, {nkv});
    for (int rows : {1, 5}) {
      const std::vector<float> x = random.floats(static_cast<size_t>(rows * k));
      const std::vector<float> out =
          run(backend, b, Use::Qkv, {q.tensor(), key.tensor(), v.tensor(), bq.tensor, bk.tensor, bv.tensor}, x, k, n);
      expect_near(backend, "q", columns(out, n, 0, nq), expected(x, q, nq, k, bq.values));
      expect_near(backend, "k", columns(out, n, nq, nkv), expected(x, key, nkv, k, bk.values));
      expect_near(backend, "v", columns(out, n, nq + nkv, nkv), expected(x, v, nkv, k, bv.values));
      const std::vector<float> mixed = run(backend, b, Use::Qkv, {q.tensor(), dense.tensor, v.tensor()}, x, k, n);
      expect_near(backend, "a dense k", columns(mixed, n, nq, nkv),
                  reference::linear(doubles(x), dense.values, {}, static_cast<size_t>(rows), nkv, k));
      expect_near(backend, "v after a dense k", columns(mixed, n, nq + nkv, nkv), expected(x, v, nkv, k));
    }
  });
}

TEST(embed_reads_tables_of_integers) {
  each_unit([](const BackendCase& backend, Backend& b) {
    constexpr int hidden = 100, vocab = 37, rows = 7;
    for (const IntsOf& form : all_forms())
      for (Use use : {Use::Embedding, Use::Head}) {
        Random random(13);
        const RandomInts table(random, form, vocab, hidden);
        const auto packed = b.pack(use, std::vector{table.tensor()}, {});
        b.allocate_state({.n_slots = 1,
                          .max_rows = rows,
                          .max_blocks = 1,
                          .n_blocks = 1,
                          .block_size = 16,
                          .n_layers = 1,
                          .n_heads = 1,
                          .n_kv_heads = 1,
                          .head_dim = 2,
                          .vocab_size = vocab,
                          .hidden_size = hidden,
                          .sliding_window = 0,
                          .kv_dtype = DType::F32,
                          .inv_freq = {1}});
        Step step;
        reference::Matrix want;
        const reference::Matrix values = table.values();
        for (int i = 0; i < rows; ++i) {
          step.tokens.push_back(random.below(vocab));
          const auto row = values.begin() + step.tokens.back() * hidden;
          want.insert(want.end(), row, row + hidden);
        }
        step.slices = {{0, 0, rows, false, false, -1, 0, 0, Rows::None}};
        const Tensor out = b.allocate(Role::Residual, rows, hidden);
        b.begin(step);
        b.embed({packed.get(), out, rows});
        b.collect(b.end());
        CHECK(error(backend.read(out, rows), want) < 1e-7);
      }
  });
}

TEST(rows_in_llama_cpps_order_come_out_in_the_models) {
  each_unit([](const BackendCase& backend, Backend& b) {
    constexpr int k = 64, n = 48, head = 16;
    Random random(14);
    const RandomInts ints(random, {8, 32}, n, k);
    const Stored plain(random, DType::F16, {n, k}), bias(random, DType::F32, {n});
    const std::vector<float> x = random.floats(3 * k);
    const auto check = [&](HostTensor weight, HostTensor added) {
      const std::vector<float> stored = run(backend, b, Use::AttnOut, {weight, added}, x, k, n);
      weight.paired_head = added.paired_head = head;
      const std::vector<float> turned = run(backend, b, Use::AttnOut, {weight, added}, x, k, n);
      // Row 2 i + j of a head as llama.cpp stores it is row i + j * head / 2.
      for (int row = 0; row < 3; ++row)
        for (int at = 0; at < n; ++at) {
          const int in_head = at % head, model = at - in_head + in_head / 2 + in_head % 2 * head / 2;
          CHECK(turned[static_cast<size_t>(row * n + model)] == stored[static_cast<size_t>(row * n + at)]);
        }
    };
    check(ints.tensor(), bias.tensor);
    check(plain.tensor, bias.tensor);
    HostTensor odd = plain.tensor;
    odd.paired_head = 20;
    THROWS("48 rows of heads of 20", b.pack(Use::Head, std::vector{odd}, {}));
  });
}

TEST(ranks_cut_integers_between_groups) {
  const BackendCase& io = backend_cases().front();
  const auto b = io.make(DType::F32, 2);
  constexpr int k = 256, n = 48;
  Random random(15);
  const RandomInts weight(random, {4, 64, true}, n, k), ordered(random, {4, 64, true, true, true}, n, k),
      row(random, {8, 0}, n, k);
  const std::vector<float> x = random.floats(3 * k);
  const std::vector<float> whole = run(io, *b, Use::Down, {weight.tensor()}, x, k, n);
  std::vector<float> sum(whole.size());
  for (int rank : {0, 1}) {
    const std::vector<float> part = run(io, *b, Use::Down, {weight.tensor()},
                                        columns(x, k, static_cast<size_t>(rank) * k / 2, k / 2), k / 2, n, {rank, 2});
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += part[i];
    const std::vector<float> gate = run(io, *b, Use::GateUp, {weight.tensor(), ordered.tensor()}, x, k, n, {rank, 2});
    const auto half = columns(whole, n, static_cast<size_t>(rank) * n / 2, n / 2);
    CHECK(columns(gate, n, 0, n / 2) == half);
  }
  CHECK(error(sum, doubles(whole)) < 1e-6);
  THROWS("groups of 64 columns, which a rank's 32 cut", b->pack(Use::Down, std::vector{weight.tensor()}, {0, 8}));
  THROWS("groups of 256 columns", b->pack(Use::Down, std::vector{row.tensor()}, {0, 2}));
  THROWS("act-order", b->pack(Use::Down, std::vector{ordered.tensor()}, {0, 2}));
}

TEST(a_row_that_is_not_finite_says_so) {
  each_unit([](const BackendCase& backend, Backend& b) {
    constexpr int k = 96, n = 20;
    Random random(16);
    for (int bits : {4, 8}) {
      const RandomInts weight(random, {bits, 32, true}, n, k);
      for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                        -std::numeric_limits<float>::infinity()}) {
        std::vector<float> x = random.floats(2 * k);
        const std::vector<float> good = run(backend, b, Use::Head, {weight.tensor()}, x, k, n);
        x[50] = bad;
        const std::vector<float> out = run(backend, b, Use::Head, {weight.tensor()}, x, k, n);
        for (int i = 0; i < n; ++i) {
          CHECK(!std::isfinite(out[static_cast<size_t>(i)]));
          CHECK(out[static_cast<size_t>(n + i)] == good[static_cast<size_t>(n + i)]);
        }
      }
    }
    const RandomInts weight(random, {8, 32}, n, k);
    for (float value : run(backend, b, Use::Head, {weight.tensor()}, std::vector<float>(k, 1e-38f), k, n))
      CHECK(value == 0);
  });
}

TEST(forms_that_no_kernel_knows_are_errors) {
  const auto b = backend_cases().front().make(DType::F32, 1);
  Random random(17);
  const auto pack = [&](const IntsOf& form, std::vector<int64_t> shape = {}) {
    const RandomInts weight(random, form, 4, 96);
    HostTensor tensor = weight.tensor();
    if (!shape.empty()) tensor.shape = shape;
    b->pack(Use::Head, std::vector{tensor}, {});
  };
  THROWS("integers of 5 bits", pack({5, 32}));
  THROWS("groups of 48 columns", pack({8, 48}));
  THROWS("3 dimensions", pack({8, 32}, {1, 4, 96}));
  THROWS("orders 96 inputs; it has 64", pack({8, 32, false, true, true}, {4, 64}));
}
