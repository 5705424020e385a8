// decode_bench FOLDER: how long a model takes to load, what it holds, and how fast one sequence decodes beside what the
// machine can read. One JSON line.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <string>

#include "../test/native/caller.h"
#include "model/load.h"
#include "reader.h"

using namespace gattling;

namespace {

constexpr int kTokens = 16;  // a run

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

void run(const std::string& folder) {
  LoadOptions options;
  options.folder = folder;
  options.device = "cpu";
  options.max_num_seqs = 16;
  const uint64_t before = resident_bytes();
  std::unique_ptr<Model> model;
  const double load_seconds = bench::seconds([&] { model = load_model(options, nullptr); });
  const uint64_t held = resident_bytes() - before;
  const ModelInfo info = model->info();
  const uint64_t table =
      uint64_t{2} * info.vocab_size * info.hidden_size;  // the embedding, of which a step reads a row

  test::Caller caller(std::move(model));
  bench::Reader reader;
  std::vector<double> tokens, read;
  decode(caller, 1);
  for (int pair = 0; pair < bench::kPairs; ++pair) {
    read.push_back(reader.gbps());
    tokens.push_back(1 / decode(caller, 10 + pair));
  }
  const double rate = bench::median(tokens), bandwidth = bench::median(read);
  const double weights = static_cast<double>(info.weight_bytes);
  std::printf(
      "{\"bench\":\"decode\",\"unit\":\"%s\",\"threads\":%d,\"load_seconds\":%.2f,\"weight_bytes\":%.0f,\"held_bytes\":"
      "%llu,"
      "\"kv_bytes\":%llu,\"tokens_per_second\":%.2f,\"reader_gbps\":%.2f,\"ratio\":%.3f,\"ratio_of_bytes_read\":%.3f}"
      "\n",
      info.backend.unit.c_str(), info.backend.threads, load_seconds, weights, static_cast<unsigned long long>(held),
      static_cast<unsigned long long>(info.kv_bytes), rate, bandwidth, rate * weights / 1e9 / bandwidth,
      rate * (weights - static_cast<double>(table)) / 1e9 / bandwidth);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::fprintf(stderr, "usage: decode_bench FOLDER\n");
    return 2;
  }
  run(argv[1]);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
