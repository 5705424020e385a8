#include <algorithm>
#include <cmath>
#include <numeric>
#include <type_traits>
#include <vector>

#include "backend/half.h"
#include "cuda/kernels/linear_plan.h"
#include "test.h"

using namespace gattling;
using namespace gattling::cuda;

namespace {

constexpr int kMaxRows = 130;
constexpr float kUntouched = 7.5f;

size_t at(int row, int stride) {
  return static_cast<size_t>(row) * static_cast<size_t>(stride);
}

int stride_of(int n) {
  return ceil_div(n, 64) * 64;
}

// Within [-1, 1), without a pattern that sums could cancel by.
float value(size_t i, uint32_t seed) {
  uint32_t bits = (static_cast<uint32_t>(i) + seed) * 2654435761u;
  bits = (bits ^ bits >> 15) * 2246822519u;
  return static_cast<float>(static_cast<int>(bits >> 16)) / 32768 - 1;
}

template <typename T>
constexpr Half half_of = std::is_same_v<T, bf16> ? Half::BF16 : Half::F16;
template <typename T>
constexpr double unit_of = std::is_same_v<T, bf16> ? 1.0 / 256 : 1.0 / 2048;

template <typename T>
Buffer on_device(const std::vector<T>& values, Stream& stream) {
  Buffer buffer(values.size() * sizeof(T));
  stream.copy_to_device(buffer.as<void>(), values.data(), buffer.bytes());
  stream.synchronize();
  return buffer;
}

template <typename T>
std::vector<float> on_host(const Buffer& buffer, Stream& stream) {
  std::vector<T> values(buffer.bytes() / sizeof(T));
  stream.copy_to_host(values.data(), buffer.as<void>(), buffer.bytes());
  stream.synchronize();
  std::vector<float> wide;
  for (const T x : values) wide.push_back(widen(x));
  return wide;
}

struct Options {
  bool fp32 = false;
  bool bias = false;
  bool swiglu = false;
  bool deterministic = false;
  const LinearPlan* plan = nullptr;  // null: as linear() chooses
};

template <typename T>
std::vector<T> matrix(int rows, int k, uint32_t seed) {
  const int stride = stride_of(k);
  std::vector<T> values(at(rows, stride));
  for (int row = 0; row < rows; ++row)
    for (int i = 0; i < stride; ++i) {
      const size_t index = at(row, stride) + static_cast<size_t>(i);
      narrow(i < k ? value(index, seed) : 0.0f, values[index]);
    }
  return values;
}

// A layer [n, k], kMaxRows rows of input, and what comes of them in double.
template <typename T>
class Layer {
 public:
  Layer(int n, int k)
      : n_(n), k_(k), stride_(stride_of(k)), weights_(matrix<T>(n, k, 1)), inputs_(matrix<T>(kMaxRows, k, 99)) {
    for (int i = 0; i < n; ++i) bias_.push_back(value(static_cast<size_t>(i), 5) * 3);
    weight_buffer_ = on_device(weights_, stream_);
    bias_buffer_ = on_device(bias_, stream_);
    workspace_ = Buffer(kLinearWorkspace);
    stream_.fill(workspace_.as<void>(), 0, workspace_.bytes());
    for (int row = 0; row < kMaxRows; ++row)
      for (int i = 0; i < n; ++i) sum(row, i);
  }

  // The outputs [rows.size(), n] of these rows of the input; checks that nothing else was written.
  std::vector<float> run(const std::vector<int>& rows, const Options& options) {
    std::vector<T> x;
    for (const int row : rows) {
      const auto from = inputs_.begin() + static_cast<std::ptrdiff_t>(at(row, stride_));
      x.insert(x.end(), from, from + stride_);
    }
    const int n_rows = static_cast<int>(rows.size()), n = options.swiglu ? n_ / 2 : n_;
    const int out_stride = stride_of(n);
    const Buffer x_buffer = on_device(x, stream_);
    const size_t size = at(n_rows + 1, out_stride);
    std::vector<T> blank(size);
    for (T& element : blank) narrow(kUntouched, element);
    const Buffer out_buffer =
        options.fp32 ? on_device(std::vector<float>(size, kUntouched), stream_) : on_device(blank, stream_);
    const LinearArgs args{x_buffer.as<void>(),
                          weight_buffer_.template as<void>(),
                          options.bias ? bias_buffer_.as<float>() : nullptr,
                          out_buffer.as<void>(),
                          half_of<T>,
                          options.fp32,
                          n_rows,
                          n_,
                          stride_,
                          out_stride,
                          options.deterministic,
                          workspace_.as<float>(),
                          workspace_.bytes(),
                          options.swiglu};
    if (options.plan)
      linear(args, *options.plan, stream_);
    else
      linear(args, stream_);
    const std::vector<float> out = options.fp32 ? on_host<float>(out_buffer, stream_) : on_host<T>(out_buffer, stream_);
    std::vector<float> dense;
    for (int row = 0; row <= n_rows; ++row)
      for (int i = 0; i < out_stride; ++i) {
        const float y = out[at(row, out_stride) + static_cast<size_t>(i)];
        if (row < n_rows && i < n)
          dense.push_back(y);
        else
          CHECK(y == kUntouched);
      }
    return dense;
  }

  void check(const std::vector<int>& rows, const Options& options) {
    const std::vector<float> out = run(rows, options);
    const int n = options.swiglu ? n_ / 2 : n_;
    for (size_t r = 0; r < rows.size(); ++r)
      for (int i = 0; i < n; ++i) {
        const Expected expected = this->expected(rows[r], i, options);
        const double error = std::fabs(out[r * static_cast<size_t>(n) + static_cast<size_t>(i)] - expected.value);
        CHECK(error <= expected.error + (options.fp32 ? 0 : unit_of<T> * std::fabs(expected.value)));
      }
  }

  void check(int n_rows, const Options& options) {
    std::vector<int> rows(static_cast<size_t>(n_rows));
    std::iota(rows.begin(), rows.end(), kMaxRows - n_rows);
    check(rows, options);
  }

 private:
  struct Expected {
    double value, error;  // error: that fp32 sums may have
  };

  void sum(int row, int i) {
    double sum = 0, size = 0;
    for (int k = 0; k < k_; ++k) {
      const double product = double{widen(inputs_[at(row, stride_) + static_cast<size_t>(k)])} *
                             double{widen(weights_[at(i, stride_) + static_cast<size_t>(k)])};
      sum += product;
      size += std::fabs(product);
    }
    sums_.push_back({sum, 1e-6 * (size + 1)});
  }

  Expected expected(int row, int i, const Options& options) const {
    const auto biased = [&](int output) {
      Expected e = sums_[at(row, n_) + static_cast<size_t>(output)];
      if (options.bias) e.value += double{bias_[static_cast<size_t>(output)]};
      return e;
    };
    if (!options.swiglu) return biased(i);
    const Expected gate = biased(i / 8 * 16 + i % 8), up = biased(i / 8 * 16 + 8 + i % 8);
    const double silu = gate.value / (1 + std::exp(-gate.value));
    return {silu * up.value, 1.2 * gate.error * std::fabs(up.value) + std::fabs(silu) * up.error +
                                 1e-6 * (1 + std::fabs(silu * up.value))};
  }

  int n_, k_, stride_;
  std::vector<T> weights_, inputs_;
  std::vector<float> bias_;
  std::vector<Expected> sums_;  // [kMaxRows, n]
  Stream stream_;
  Buffer weight_buffer_, bias_buffer_, workspace_;
};

struct Shape {
  int n, k;
};

template <typename T>
void awkward_shapes(bool deterministic) {
  int turn = 0;
  for (const Shape shape : {Shape{1, 1}, {16, 32}, {17, 33}, {96, 100}, {250, 8}, {100, 250}, {33, 1023}}) {
    Layer<T> layer(shape.n, shape.k);
    for (const int rows : {1, 2, 3, 8, 9, 16, 17, 33, 64, 65, 130}) {
      ++turn;
      layer.check(rows, {turn % 2 == 0, turn / 2 % 2 == 0, false, deterministic});
      layer.check(rows, {turn % 2 == 0, turn / 2 % 2 == 1, false, deterministic});
    }
  }
}

// K is long enough for several segments a part and, in the first shape, for several parts.
template <typename T>
void bits_of_a_row(int n, int k) {
  Layer<T> layer(n, k);
  std::vector<int> all(kMaxRows);
  std::iota(all.begin(), all.end(), 0);
  const Options options{true, true, false, true};
  const std::vector<float> whole = layer.run(all, options);
  for (const int n_rows : {1, 8, 11, 20, 33, 70}) {
    std::vector<int> rows;
    for (int i = 0; i < n_rows; ++i) rows.push_back((i * 37 + n_rows) % kMaxRows);
    const std::vector<float> out = layer.run(rows, options);
    for (size_t i = 0; i < out.size(); ++i) {
      const size_t width = static_cast<size_t>(n);
      CHECK(out[i] == whole[static_cast<size_t>(rows[i / width]) * width + i % width]);
    }
  }
}

}  // namespace

TEST(awkward_shapes) {
  awkward_shapes<bf16>(false);
  awkward_shapes<f16>(true);
}

TEST(k_split_over_blocks) {
  Layer<bf16> layer(40, 2100);
  CHECK(plan_linear(1, 40, 2112, false).range < 2112);
  CHECK(plan_linear(40, 40, 2112, false).range < 2112);
  CHECK(plan_linear(40, 40, 2112, true).range < 2112);
  for (const int rows : {1, 9, 20, 40, 130})
    for (const bool deterministic : {false, true}) layer.check(rows, {rows % 2 == 0, true, false, deterministic});
}

TEST(large_tiles) {
  const LinearPlan whole{LinearKernel::Tile128, false, 320, 320}, split{LinearKernel::Tile128, false, 128, 128};
  Layer<bf16> wide(250, 300);
  wide.check(130, {false, true, false, false, &whole});
  wide.check(128, {true, false, false, false, &split});
  const LinearPlan short_k{LinearKernel::Tile128, false, 64, 64};
  Layer<f16> narrow(7, 5);
  narrow.check(3, {false, true, false, false, &short_k});
}

TEST(fused_swiglu) {
  Layer<bf16> bf(48, 100);
  Layer<f16> f(208, 70);
  const LinearPlan large{LinearKernel::Tile128, false, 128, 128};
  for (const int rows : {1, 9, 17, 65})
    for (const bool fp32 : {false, true}) {
      bf.check(rows, {fp32, rows % 8 == 1, true, true});
      f.check(rows, {fp32, false, true, false});
    }
  f.check(40, {false, true, true, false, &large});
}

TEST(bits_of_a_row_are_its_own) {
  bits_of_a_row<bf16>(20, 2300);
  bits_of_a_row<f16>(70, 700);
}

TEST(parts_added_in_a_block_or_over_blocks_are_the_same_bits) {
  Layer<bf16> layer(20, 2300);
  const LinearPlan over_blocks = plan_linear(40, 20, 2304, true);
  CHECK(over_blocks.range < 2304);
  LinearPlan in_block = over_blocks;
  in_block.range = 2304;
  std::vector<int> rows(40);
  std::iota(rows.begin(), rows.end(), 0);
  const std::vector<float> a = layer.run(rows, {true, true, false, true, &over_blocks});
  CHECK(a == layer.run(rows, {true, true, false, true, &in_block}));
}

TEST(plans) {
  for (const int n : {1, 576, 2048, 4096, 11008, 128256})
    for (const int k : {64, 1536, 4096, 14336})
      for (const int rows : {1, 8, 32, 33, 64, 128, 256, 2048})
        for (const bool deterministic : {false, true}) {
          const LinearPlan plan = plan_linear(rows, n, k, deterministic);
          CHECK(plan.segment > 0 && plan.segment % kLinearStep == 0 && plan.range % kLinearStep == 0);
          CHECK(plan.range >= plan.segment || plan.range >= k);
          // Segments depend on the matrix only, and blocks divide K between parts.
          if (plan.chained) CHECK(plan.segment == linear_segment(n, k));
          if (plan.chained && plan.range < k) CHECK(plan.range == plan.segment * kChains);
          if (deterministic) CHECK(plan.chained);
          const int splits = ceil_div(k, plan.range);
          if (splits == 1) continue;
          const bool decode = plan.kernel == LinearKernel::Decode;
          const int side = decode ? (rows > 16 ? 32 : 16) : 64, depth = decode ? kDecodeRows : 64;
          const int tiles = ceil_div(n, side) * ceil_div(rows, depth);
          CHECK(tiles <= kCounters);
          const size_t sums = static_cast<size_t>(tiles) * static_cast<size_t>(splits * side * depth);
          CHECK((sums + kCounters) * sizeof(float) <= kLinearWorkspace);
        }
  CHECK(plan_linear(2048, 4096, 4096, false).kernel == LinearKernel::Tile128);
  CHECK(plan_linear(64, 4096, 4096, false).range < 4096);
  CHECK(plan_linear(1, 4096, 4096, false).range >= 4096);
}
