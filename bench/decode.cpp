// decode_bench FOLDER [QUANTIZATION]: how long a model takes to load, what it holds, how fast one sequence decodes
// beside what the machine can read, how fast prompts of 512 tokens are computed, and, where the model takes 8k tokens,
// what a token of context adds to a step beside what its keys and values take to read. One JSON line.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <string>

#include "../test/native/caller.h"
#include "backend/error.h"
#include "backend/quantise.h"
#include "model/load.h"
#include "reader.h"

using namespace gattling;

namespace {

constexpr int kTokens = 16;  // a run
constexpr int kPrompt = 512;
constexpr int kPrompts = 3;
constexpr int kShort = 512, kLong = 8160;  // of context

uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t total, resident;
  statm >> total >> resident;
  return resident * 4096;
}

// Seconds a token, the first not counted: it came with the prompt.
double decode(test::Caller& caller, int first_token) {
  const uint32_t id = caller.submit({first_token, 2}, kTokens + 1);
  caller.wait([&] { return !caller.told[id].tokens.empty(); });
  const size_t n_before = caller.told[id].tokens.size();
  return bench::seconds([&] { caller.wait_for(id); }) / static_cast<double>(kTokens + 1 - n_before);
}

// Seconds a token behind `context` others, which the prefix cache has from the second time on.
double decode_after(test::Caller& caller, int context) {
  std::vector<int32_t> prompt(static_cast<size_t>(context), 5);
  prompt[0] = 7;
  const uint32_t id = caller.submit(prompt, kTokens + 1);
  caller.wait([&] { return !caller.told[id].tokens.empty(); });
  const size_t n_before = caller.told[id].tokens.size();
  return bench::seconds([&] { caller.wait_for(id); }) / static_cast<double>(kTokens + 1 - n_before);
}

// What a token of context costs a step, over the time that its keys and values take to read.
double context_cost(test::Caller& caller, bench::Reader& reader, double bytes_per_token) {
  std::vector<double> costs, read;
  decode_after(caller, kLong);
  for (int pair = 0; pair < bench::kPairs; ++pair) {
    const double near = decode_after(caller, kShort), far = decode_after(caller, kLong);
    read.push_back(reader.gbps());
    costs.push_back((far - near) / (kLong - kShort));
  }
  return bench::median(costs) * bench::median(read) * 1e9 / bytes_per_token;
}

// Seconds of a prompt, whose first token keeps it out of the prefix cache.
double prefill(test::Caller& caller, int first_token) {
  std::vector<int32_t> prompt(kPrompt, 3);
  prompt[0] = first_token;
  return bench::seconds([&] { caller.wait_for(caller.submit(prompt, 1)); });
}

Quantization quantization_of(const std::string& name) {
  for (Quantization value : {Quantization::None, Quantization::Int8, Quantization::Int4, Quantization::Int4G128})
    if (name == name_of(value)) return value;
  fail("QUANTIZATION is ", name, "; it must be none, int8, int4 or int4-g128.");
}

void run(const std::string& folder, const std::string& quantization) {
  LoadOptions options;
  options.folder = folder;
  options.device = "cpu";
  options.quantization = quantization_of(quantization);
  options.max_num_seqs = 16;
  const uint64_t before = resident_bytes();
  std::unique_ptr<Model> model;
  const double load_seconds = bench::seconds([&] { model = load_model(options, nullptr); });
  const uint64_t held = resident_bytes() - before;
  const ModelInfo info = model->info();
  // The embedding, of which a step reads a row: bf16, or 8 bits and a scale for 32.
  const uint64_t table_weights = static_cast<uint64_t>(info.vocab_size) * static_cast<uint64_t>(info.hidden_size);
  const uint64_t table = table_weights * (info.quantization == Quantization::None ? 32 : 17) / 16;

  test::Caller caller(std::move(model));
  bench::Reader reader;
  std::vector<double> tokens, read, prompts;
  decode(caller, 1);
  for (int pair = 0; pair < bench::kPairs; ++pair) {
    read.push_back(reader.gbps());
    tokens.push_back(1 / decode(caller, 10 + pair));
  }
  const double per_token = static_cast<double>(info.kv_bytes) / info.n_blocks / info.block_size;
  const double context = info.max_model_len > kLong + kTokens ? context_cost(caller, reader, per_token) : 0;
  for (int i = 0; i < kPrompts; ++i) prompts.push_back(kPrompt / prefill(caller, 100 + i));
  const double rate = bench::median(tokens), bandwidth = bench::median(read);
  const double weights = static_cast<double>(info.weight_bytes);
  std::printf(
      "{\"bench\":\"decode\",\"quantization\":\"%s\",\"unit\":\"%s\",\"threads\":%d,\"load_seconds\":%.2f,\"weight_"
      "bytes\":%.0f,\"held_bytes\":"
      "%llu,"
      "\"kv_bytes\":%llu,\"tokens_per_second\":%.2f,\"reader_gbps\":%.2f,\"ratio\":%.3f,\"ratio_of_bytes_read\":%.3f,"
      "\"prefill_tokens_per_second\":%.1f,\"context_cost\":%.2f}"
      "\n",
      quantization.c_str(), info.backend.unit.c_str(), info.backend.threads, load_seconds, weights,
      static_cast<unsigned long long>(held), static_cast<unsigned long long>(info.kv_bytes), rate, bandwidth,
      rate * weights / 1e9 / bandwidth, rate * (weights - static_cast<double>(table)) / 1e9 / bandwidth,
      bench::median(prompts), context);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2 && argc != 3) {
    std::fprintf(stderr, "usage: decode_bench FOLDER [QUANTIZATION]\n");
    return 2;
  }
  run(argv[1], argc == 3 ? argv[2] : "none");
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
