// Weights of integers in linear(), laid out here as linear.h says, against the same weights as plain ones: the bits are
// the same, whatever the form, and nothing else is written.
#include <array>
#include <vector>

#include "backend/half.h"
#include "cuda/kernels/linear_plan.h"
#include "cuda_buffers.h"
#include "test.h"

using namespace gattling;
using namespace gattling::cuda;
using test::half_of;
using test::on_device;
using test::on_host;

namespace {

constexpr float kUntouched = 7.5f;

struct Form {
  int bits;
  bool wide;  // fp32 scales and offsets, else fp16 scales
  int shift;  // of a group
};

uint32_t noise(size_t i, uint32_t seed) {
  uint32_t bits = (static_cast<uint32_t>(i) + seed) * 2654435761u;
  bits = (bits ^ bits >> 15) * 2246822519u;
  return bits ^ bits >> 13;
}

float value(size_t i, uint32_t seed) {
  return static_cast<float>(static_cast<int>(noise(i, seed) >> 16)) / 32768 - 1;
}

int padded(int n) {
  return ceil_div(n, 64) * 64;
}

// [n, k] as integers and as plain weights.
template <typename T>
struct Weights {
  std::vector<uint8_t> q;
  std::vector<f16> half_scales;
  std::vector<float> scales, offsets;
  std::vector<T> plain;

  Weights(const Form& form, int n, int k) {
    const int stride = padded(k), tiles = ceil_div(n, 16), groups = ((stride - 1) >> form.shift) + 1;
    const int per_byte = 8 / form.bits;
    q.assign(static_cast<size_t>(tiles * 16 * stride / per_byte), 0);
    scales.assign(static_cast<size_t>(tiles * groups * 16), 0);
    offsets = scales;
    plain.resize(static_cast<size_t>(n * stride));
    for (int row = 0; row < n; ++row)
      for (int col = 0; col < stride; ++col) {
        const size_t plane =
            static_cast<size_t>(((row / 16 * groups + (col >> form.shift)) * 8 + row % 8) * 2 + row / 8 % 2);
        f16 half;
        narrow(value(plane, 3) / 16, half);
        scales[plane] = form.wide ? value(plane, 3) / 16 : widen(half);
        offsets[plane] = form.wide ? value(plane, 4) : 0;
        const size_t index = static_cast<size_t>(row * stride + col);
        const int range = 1 << form.bits, stored = static_cast<int>(noise(index, 5)) & (range - 1);
        const int lane = row % 8 * 4 + col % 32 / 8, run = (row / 16 * (stride / 32) + col / 32) * 32 + lane;
        const int element = (run * 2 + row / 8 % 2) * 8 + col % 8;
        q[static_cast<size_t>(element / per_byte)] |= static_cast<uint8_t>(stored << element % per_byte * form.bits);
        const float product = scales[plane] * static_cast<float>(stored - range / 2);
        narrow(form.wide ? product + offsets[plane] : product, plain[index]);
      }
    for (float scale : scales) {
      f16 half;
      narrow(scale, half);
      half_scales.push_back(half);
    }
  }
};

template <typename T>
void check(const Form& form, int rows, int n, int k, bool swiglu = false) {
  const Half half = half_of<T>;
  const Weights<T> weights(form, n, k);
  const int stride = padded(k), n_out = swiglu ? n / 2 : n, out_stride = padded(n_out);
  std::vector<T> x(static_cast<size_t>(rows * stride)), blank(static_cast<size_t>((rows + 1) * out_stride));
  for (size_t i = 0; i < x.size(); ++i) narrow(static_cast<int>(i) % stride < k ? value(i, 1) : 0.0f, x[i]);
  for (T& element : blank) narrow(kUntouched, element);
  std::vector<float> biases;
  for (int i = 0; i < n; ++i) biases.push_back(value(static_cast<size_t>(i), 2));

  Stream stream;
  const Buffer input = on_device(x, stream), bias = on_device(biases, stream), plain = on_device(weights.plain, stream);
  const Buffer q = on_device(weights.q, stream), offsets = on_device(weights.offsets, stream);
  const Buffer scales = form.wide ? on_device(weights.scales, stream) : on_device(weights.half_scales, stream);
  const Buffer out = on_device(blank, stream), expected = on_device(blank, stream);
  const Buffer workspace(kLinearWorkspace);
  stream.fill(workspace.as<void>(), 0, workspace.bytes());
  LinearArgs args{input.as<void>(),
                  plain.as<void>(),
                  bias.as<float>(),
                  expected.as<void>(),
                  half,
                  false,
                  rows,
                  n,
                  stride,
                  out_stride,
                  false,
                  workspace.as<float>(),
                  workspace.bytes(),
                  swiglu};
  linear(args, stream);
  args.out = out.as<void>();
  args.weight = nullptr;
  args.ints = {q.as<void>(), scales.as<void>(), form.wide ? offsets.as<float>() : nullptr, form.bits, form.shift};
  const Buffer widened = on_device(std::vector<T>(weights.plain.size()), stream);
  widen_ints(args, widened.as<void>(), stream);
  const auto same = [&](const Buffer& a, const Buffer& b) {
    const std::vector<uint16_t> have = on_host<uint16_t>(a, stream), want = on_host<uint16_t>(b, stream);
    for (size_t i = 0; i < want.size(); ++i) CHECK(have[i] == want[i]);
  };
  same(widened, plain);
  if (rows > kDecodeRows) return;
  linear(args, stream);
  same(out, expected);
}

template <typename T>
void forms() {
  for (int bits : {4, 8})
    for (bool wide : {false, true})
      for (int shift : {4, 5, 7, 30})
        for (const auto& [rows, n, k] :
             {std::array{1, 1, 1}, {3, 17, 33}, {8, 48, 100}, {9, 40, 160}, {17, 33, 64}, {32, 16, 250}})
          check<T>({bits, wide, shift}, rows, n, k);
}

}  // namespace

TEST(bf16_of_every_form) {
  forms<bf16>();
}

TEST(fp16_of_every_form) {
  forms<f16>();
}

TEST(k_over_several_warps_and_blocks) {
  for (int rows : {2, 12, 25}) {
    check<bf16>({4, false, 5}, rows, 24, 2500);
    check<bf16>({8, true, 6}, rows, 40, 1100);
  }
}

TEST(gate_and_up_end_with_swiglu) {
  for (int rows : {1, 10, 32}) check<bf16>({4, true, 5}, rows, 48, 96, true);
}
