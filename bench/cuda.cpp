// The CUDA kernels as fractions of what the device can do: cuda_bench [--tiny] [--json FILE] [--commit TEXT] [TOPIC...]
// prints a table, and writes JSON to FILE. Topics: rmsnorm linear prefill-linear decode-attention prefill-attention
// kv-heads; all of them when none is named. --tiny is for machines without a GPU, where times mean nothing.
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>

#include "backend/error.h"
#include "cuda_bench.h"

using namespace bench;

namespace {

struct Topic {
  const char* name;
  void (*run)(Bench&);
};

constexpr Topic kTopics[] = {
    {"rmsnorm", bench_rmsnorm},
    {"linear", bench_linear},
    {"linear-ints", bench_linear_ints},
    {"prefill-linear", bench_prefill_linear},
    {"decode-attention", bench_decode_attention},
    {"prefill-attention", bench_prefill_attention},
    {"kv-heads", bench_kv_heads},
};

struct Options {
  bool tiny = false;
  std::string json, commit = "unknown";
  std::vector<const Topic*> topics;
};

const Topic& topic(const char* name) {
  for (const Topic& t : kTopics)
    if (std::strcmp(t.name, name) == 0) return t;
  gattling::fail("There is no topic ", name,
                 "; take rmsnorm, linear, prefill-linear, decode-attention, "
                 "prefill-attention or kv-heads.");
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    const auto value = [&]() -> const char* {
      gattling::check(i + 1 < argc, arg, " takes a value.");
      return argv[++i];
    };
    if (arg == "--tiny")
      options.tiny = true;
    else if (arg == "--json")
      options.json = value();
    else if (arg == "--commit")
      options.commit = value();
    else
      options.topics.push_back(&topic(argv[i]));
  }
  if (options.topics.empty())
    for (const Topic& t : kTopics) options.topics.push_back(&t);
  return options;
}

void write(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.close();
  gattling::check(file.good(), "The results cannot be written to ", path, ".");
}

void run(const Options& options) {
  Bench bench(options.tiny);
  gattling::check(options.tiny || !bench.facts.emulated, "This bench was built for the emulation; it takes --tiny.");
  std::printf("%s, compute capability %d.%d, %d processors, driver for CUDA %s\n", bench.device.name.c_str(),
              bench.device.capability / 10, bench.device.capability % 10, bench.device.n_processors,
              bench.facts.driver.c_str());
  measure_limits(bench);
  for (const Topic* t : options.topics) {
    t->run(bench);
    // What was measured stays, whatever comes next.
    if (!options.json.empty()) write(options.json, bench.json(options.commit));
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(parse(argc, argv));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cuda_bench: %s\n", error.what());
    return 1;
  }
}
