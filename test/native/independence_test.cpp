// A request's output does not depend on what else is in the batch: the bits of its top-20 log-probabilities are equal
// at any batch size and chunking, with the prefix cache on or off, and after preemption.
#include <algorithm>

#include "caller.h"
#include "models.h"
#include "test.h"

using namespace gattling;

namespace {

// On device cuda, under --deterministic; its emulation is slow, and tries fewer neighbours.
#ifndef GATTLING_TEST_DEVICE
#define GATTLING_TEST_DEVICE "cpu"
#endif
const std::string kDevice = GATTLING_TEST_DEVICE;
const bool kCpu = kDevice == "cpu";

using Scored = std::vector<test::Caller::Scored>;

const std::vector<std::string> kModels =
    kCpu ? test::kModels : std::vector<std::string>{"gqa-llama3rope-tied", "mqa-f16"};

struct Setting {
  int n_neighbours = 0;
  int chunk = 512;
  bool prefix_caching = true;
  int threads = 2;
  uint64_t kv_cache_memory = 0;
  bool warm = false;  // the same request has run before
};

std::vector<int32_t> prompt(const std::string& name, int which) {
  const Json file = test::read_json(test::fixture(name) + "/reference.json");
  return test::ids_of(file.at("cases").array()[which].at("prompt"));
}

std::unique_ptr<Sequence> subject(const std::string& name) {
  auto s = std::make_unique<Sequence>();
  s->tokens = prompt(name, 4);  // 65 tokens
  s->max_tokens = 40;
  s->top = 20;
  s->sampling.temperature = 0.8f;
  s->sampling.seed = 42;
  s->sampling.frequency_penalty = 0.2f;
  return s;
}

struct Outcome {
  Scored scored;
  uint64_t n_preemptions;
  int n_cached;
};

Outcome run(const std::string& name, DType kv_dtype, const Setting& setting) {
  LoadOptions options;
  options.folder = test::fixture(name);
  options.device = kDevice;
  options.deterministic = true;
  if (!kCpu) options.kv_cache_memory = 64 << 20;
  options.kv_dtype = kv_dtype;
  options.max_num_seqs = 20;
  options.max_model_len = 256;
  options.max_num_batched_tokens = setting.chunk;
  options.threads = setting.threads;
  if (setting.kv_cache_memory > 0) options.kv_cache_memory = setting.kv_cache_memory;
  test::Caller caller(load_model(options, nullptr), setting.prefix_caching);
  if (setting.warm) caller.wait_for(caller.engine.submit(subject(name)));
  std::vector<uint32_t> ids;
  for (int i = 0; i < setting.n_neighbours / 2; ++i) ids.push_back(caller.submit(prompt(name, i % 6), 60 + i));
  const uint32_t id = caller.engine.submit(subject(name));
  for (int i = setting.n_neighbours / 2; i < setting.n_neighbours; ++i)
    ids.push_back(caller.submit(prompt(name, i % 6), 60 + i));
  caller.wait_for(id);
  for (uint32_t neighbour : ids) caller.wait_for(neighbour);
  caller.engine.stats(1);
  caller.wait([&] { return !caller.replies.empty(); });
  CHECK(caller.told[id].scored.size() == 40 && caller.told[id].error.empty());
  return {caller.told[id].scored, caller.replies[0].stats.n_preemptions, caller.told[id].n_cached};
}

void compare(const std::string& what, const Outcome& expected, const Outcome& found) {
  for (size_t i = 0; i < expected.scored.size(); ++i)
    if (!(expected.scored[i] == found.scored[i]))
      test::failed(__FILE__, __LINE__, what + ": token " + std::to_string(i) + " differs");
}

}  // namespace

TEST(bits_do_not_depend_on_the_batch) {
  for (const std::string& name : kModels)
    for (DType kv : {DType::F32, name == "mqa-f16" ? DType::F16 : DType::BF16}) {
      if (!kCpu && kv == DType::F32) continue;
      const Outcome alone = run(name, kv, {});
      for (int batch : kCpu ? std::vector{2, 4, 5, 16, 17} : std::vector{5})
        compare(name + " in a batch of " + std::to_string(batch), alone, run(name, kv, {.n_neighbours = batch - 1}));
      for (int chunk : kCpu ? std::vector{1, 7, 16, 33} : std::vector{7})
        compare(name + " in chunks of " + std::to_string(chunk), alone,
                run(name, kv, {.n_neighbours = 3, .chunk = chunk}));
      compare(name + " without the prefix cache", alone, run(name, kv, {.n_neighbours = 4, .prefix_caching = false}));
      const Outcome warm = run(name, kv, {.n_neighbours = 2, .warm = true});
      CHECK(warm.n_cached == 64);
      compare(name + " from the prefix cache", alone, warm);
      compare(name + " on one thread", alone, run(name, kv, {.n_neighbours = 4, .threads = 1}));
    }
}

TEST(bits_survive_preemption) {
  for (const std::string& name : kModels) {
    const Json config = test::read_json(test::fixture(name) + "/config.json");
    const uint64_t token_bytes = 2 * (kCpu ? 4 : 2) * config.at("num_hidden_layers").integer() *
                                 config.at("num_key_value_heads").integer() * config.at("head_dim").integer();
    const Outcome alone = run(name, DType::F32, {});
    // Room for 256 tokens; the subject and its neighbours want more.
    const Outcome crowded = run(name, DType::F32, {.n_neighbours = 9, .kv_cache_memory = token_bytes * 256});
    CHECK(crowded.n_preemptions > 0);
    compare(name + " after preemption", alone, crowded);
  }
}
