// The kernels at TinyLlama-1.1B's shapes (hidden 2048, ffn 5632, 32 heads of 64 on 4 KV heads, 22 layers, vocabulary
// 32000, bf16 weights) against limits measured in the same run: a reader that only loads, and a loop of fused
// multiply-adds that stay in registers. Pairs alternate, and medians are compared, because the machine is shared.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string>
#include <vector>

#include "cpu/cpu_backend.h"
#include "reader.h"

using namespace gattling;
using namespace bench;

namespace {

constexpr int kHidden = 2048, kFfn = 5632, kHeads = 32, kKvHeads = 4, kHeadDim = 64, kLayers = 22, kVocab = 32000;
constexpr int kQkv = (kHeads + 2 * kKvHeads) * kHeadDim;

typedef float Floats __attribute__((vector_size(64)));

constexpr int kChains = 12;

EVERY_SET float multiply_add(int64_t rounds) {
  Floats chains[kChains]{};
  Floats x, y;
  for (int i = 0; i < 16; ++i) {
    x[i] = 0.999f;
    y[i] = 1e-3f;
  }
  for (int c = 0; c < kChains; ++c) chains[c] = x * static_cast<float>(c);  // all different, or they would be one
  for (int64_t r = 0; r < rounds; ++r)
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) chains[c] = chains[c] * x + y;
  Floats sum{};
  for (const Floats& chain : chains) sum += chain;
  return sum[0];
}

double peak_gflops(int threads) {
  constexpr int64_t kRounds = 20'000'000;
  volatile float sink[256]{};
  const double time = seconds([&] { on_threads(threads, [&](int i) { sink[i % 256] = multiply_add(kRounds); }); });
  return 2.0 * 16 * kChains * kRounds * threads / time / 1e9;
}

struct Linear {
  std::unique_ptr<Weight> weight;
  int n, k;
};

std::unique_ptr<Weight> random_weight(Backend& backend, Use use, const std::vector<int>& outputs, int k) {
  static std::vector<uint16_t> values;
  const int n = *std::max_element(outputs.begin(), outputs.end());
  const size_t size = static_cast<size_t>(n) * static_cast<size_t>(k);
  for (size_t i = values.size(); i < size; ++i)  // about 2^-6 and either sign
    values.push_back(static_cast<uint16_t>(0x3c80 | (i * 2654435761u >> 7 & 0x807f)));
  std::vector<HostTensor> parts;
  for (int rows : outputs)
    parts.push_back({"random", DType::BF16, {rows, k}, reinterpret_cast<const std::byte*>(values.data())});
  return backend.pack(use, parts, {});
}

std::vector<Linear> all_linears(Backend& backend) {
  std::vector<Linear> all;
  const auto add = [&](Use use, const std::vector<int>& outputs, int k) {
    all.push_back({random_weight(backend, use, outputs, k), std::accumulate(outputs.begin(), outputs.end(), 0), k});
  };
  for (int layer = 0; layer < kLayers; ++layer) {
    add(Use::Qkv, {kHeads * kHeadDim, kKvHeads * kHeadDim, kKvHeads * kHeadDim}, kHidden);
    add(Use::AttnOut, {kHidden}, kHidden);
    add(Use::GateUp, {kFfn, kFfn}, kHidden);
    add(Use::Down, {kHidden}, kFfn);
  }
  add(Use::Head, {kVocab}, kHidden);
  return all;
}

size_t bytes_of(const std::vector<Linear>& linears) {
  size_t bytes = 0;
  for (const Linear& linear : linears) bytes += linear.weight->bytes();
  return bytes;
}

double flops_of(const Linear& linear, int rows) {
  return 2.0 * linear.n * linear.k * rows;
}

void bench_decode(Backend& backend, const std::vector<Linear>& linears) {
  Reader reader;
  for (int rows : {1, 2, 4, 8, 16, 32}) {
    const Tensor x = backend.allocate(Role::Activation, rows, kFfn), out = backend.allocate(Role::Logits, rows, kVocab);
    const auto run = [&] {
      for (const Linear& linear : linears) {
        const Tensor in = {x.data, rows, linear.k, x.dtype}, to = {out.data, rows, linear.n, out.dtype};
        backend.linear({linear.weight.get(), in, to, rows});
      }
    };
    std::vector<double> own, read;
    run();
    for (int pair = 0; pair < kPairs; ++pair) {
      read.push_back(reader.gbps());
      own.push_back(static_cast<double>(bytes_of(linears)) / seconds(run) / 1e9);
    }
    std::printf("{\"bench\":\"linear_decode\",\"rows\":%d,\"gbps\":%.2f,\"reader_gbps\":%.2f,\"ratio\":%.3f}\n", rows,
                median(own), median(read), median(own) / median(read));
    std::fflush(stdout);
  }
}

void bench_prefill(Backend& backend, const std::vector<Linear>& linears) {
  constexpr int rows = 512;
  const Tensor x = backend.allocate(Role::Activation, rows, kFfn),
               out = backend.allocate(Role::Activation, rows, 2 * kFfn);
  std::fill_n(static_cast<float*>(x.data), x.rows * x.cols, 0.01f);
  constexpr const char* names[] = {"qkv", "attn_out", "gate_up", "down"};
  for (size_t i = 0; i < 4; ++i) {
    const Linear& linear = linears[i];
    const Tensor in = {x.data, rows, linear.k, x.dtype}, to = {out.data, rows, linear.n, out.dtype};
    std::vector<double> own, peak;
    for (int pair = 0; pair < kPairs; ++pair) {
      peak.push_back(peak_gflops(backend.info().threads));
      own.push_back(flops_of(linear, rows) / seconds([&] {
                      backend.linear({linear.weight.get(), in, to, rows});
                    }) /
                    1e9);
    }
    std::printf(
        "{\"bench\":\"linear_prefill\",\"weight\":\"%s\",\"rows\":%d,\"gflops\":%.1f,\"peak_gflops\":%.1f,\"ratio\":%."
        "3f}\n",
        names[i], rows, median(own), median(peak), median(own) / median(peak));
    std::fflush(stdout);
  }
}

// Attention of one layer: `n_slices` sequences that each have `context` positions and compute the last `count`.
void bench_attention(const std::string& unit, int threads, int n_slices, int context, int count) {
  const auto backend = make_cpu_backend({.threads = threads, .compute = DType::F32, .unit = unit});
  StateShape shape{};
  shape.n_slots = n_slices;
  shape.max_rows = n_slices * count;
  shape.max_blocks = context / 16;
  shape.n_blocks = n_slices * shape.max_blocks;
  shape.block_size = 16;
  shape.n_layers = 1;
  shape.n_heads = kHeads;
  shape.n_kv_heads = kKvHeads;
  shape.head_dim = kHeadDim;
  shape.vocab_size = 1;
  shape.hidden_size = kHidden;
  shape.kv_dtype = DType::BF16;
  shape.inv_freq.assign(kHeadDim / 2, 0.01f);
  backend->allocate_state(shape);
  const Tensor qkv = backend->allocate(Role::Activation, shape.max_rows, kQkv);
  const Tensor out = backend->allocate(Role::Activation, shape.max_rows, kHeads * kHeadDim);
  std::fill_n(static_cast<float*>(qkv.data), qkv.rows * qkv.cols, 0.01f);
  Step step;
  const Sampling sampling;
  for (int slot = 0; slot < n_slices; ++slot) {
    step.inits.push_back({slot, &sampling, {}, 0});
    for (int i = 0; i < shape.max_blocks; ++i) step.blocks.push_back({slot, i, i * n_slices + slot});
    step.slices.push_back({slot, context - count, count, false, false, -1, 0, 0, Rows::None});
  }
  step.tokens.assign(static_cast<size_t>(shape.max_rows), 0);
  backend->begin(step);
  backend->rope_append({qkv, 0, shape.max_rows});
  std::vector<double> times;
  for (int i = 0; i < kPairs; ++i) times.push_back(seconds([&] { backend->attention({qkv, out, 0, shape.max_rows}); }));
  const double time = median(times), keys = count == 1 ? context : context - count / 2.0;
  std::printf(
      "{\"bench\":\"attention\",\"slices\":%d,\"context\":%d,\"rows\":%d,\"us\":%.0f,\"gflops\":%.1f,\"kv_gbps\":%.2f}"
      "\n",
      n_slices, context, count, time * 1e6, 4.0 * n_slices * count * keys * kHeads * kHeadDim / time / 1e9,
      4.0 * n_slices * context * kKvHeads * kHeadDim / time / 1e9);
  std::fflush(stdout);
}

void bench_sampling(const std::string& unit, const char* name, const Sampling& sampling, float spread, int top) {
  constexpr int vocab = 128256;
  const auto backend = make_cpu_backend({.threads = 1, .compute = DType::F32, .unit = unit});
  StateShape shape{};
  shape.n_slots = shape.max_rows = shape.n_blocks = shape.n_layers = shape.n_heads = shape.n_kv_heads = 1;
  shape.max_blocks = 1024;
  shape.block_size = 16;
  shape.head_dim = 2;
  shape.vocab_size = vocab;
  shape.hidden_size = 2;
  shape.inv_freq = {1};
  backend->allocate_state(shape);
  const Tensor logits = backend->allocate(Role::Logits, 1, vocab);
  for (uint32_t i = 0; i < vocab; ++i) static_cast<float*>(logits.data)[i] = gumbel(1, 0, i) * spread;
  Step step;
  step.inits.push_back({0, &sampling, {}, 0});
  std::vector<double> times;
  for (int i = 0; i < 101; ++i) {
    step.slices = {{0, i, 1, true, false, top, 0, 0, Rows::None}};
    step.tokens = {0};
    backend->begin(step);
    times.push_back(seconds([&] { backend->sample({logits, 0, 1}); }));
    backend->collect(backend->end());
    step.inits.clear();
  }
  std::printf("{\"bench\":\"sample\",\"what\":\"%s\",\"vocab\":%d,\"us\":%.0f}\n", name, vocab, median(times) * 1e6);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string unit = argc > 1 ? argv[1] : "";
  const int threads = argc > 2 ? std::atoi(argv[2]) : 0;
  const std::string integers = argc > 3 ? argv[3] : "";
  const Quantization quantization = integers == "int8"        ? Quantization::Int8
                                    : integers == "int4"      ? Quantization::Int4
                                    : integers == "int4-g128" ? Quantization::Int4G128
                                                              : Quantization::None;
  const auto backend =
      make_cpu_backend({.threads = threads, .compute = DType::BF16, .unit = unit, .quantization = quantization});
  std::vector<Linear> linears;
  const double pack_time = seconds([&] { linears = all_linears(*backend); });
  std::printf("{\"bench\":\"pack\",\"unit\":\"%s\",\"threads\":%d,\"gb\":%.2f,\"seconds\":%.2f}\n",
              backend->info().unit.c_str(), backend->info().threads, static_cast<double>(bytes_of(linears)) / 1e9,
              pack_time);
  bench_decode(*backend, linears);
  bench_prefill(*backend, linears);
  if (quantization != Quantization::None) return 0;
  bench_attention(unit, threads, 1, 2048, 1);
  bench_attention(unit, threads, 16, 2048, 1);
  bench_attention(unit, threads, 1, 2048, 512);
  bench_sampling(unit, "greedy", {.temperature = 0}, 1, -1);
  bench_sampling(unit, "random", {}, 1, -1);
  bench_sampling(unit, "random, flat", {}, 0.01f, -1);
  bench_sampling(unit, "top_p 0.95", {.top_p = 0.95f}, 1, -1);
  bench_sampling(unit, "top_p 0.95, flat", {.top_p = 0.95f}, 0.01f, -1);
  bench_sampling(unit, "top_k 50", {.top_k = 50}, 1, -1);
  bench_sampling(unit, "greedy, 20 logprobs", {.temperature = 0}, 1, 20);
}
