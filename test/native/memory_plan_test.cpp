#include "model/memory_plan.h"

#include "test.h"

using namespace gattling;

namespace {

constexpr uint64_t MiB = 1 << 20, GiB = 1 << 30;

// A block of 16 tokens takes 1 MiB; the model was made for 4096 tokens, which take 256 MiB.
MemoryRequest request() {
  return {MiB, 16, 32 * GiB, std::nullopt, 0, 4096, 64};
}

}  // namespace

TEST(the_default_is_four_gibibytes_or_what_is_useful) {
  MemoryRequest r = request();
  CHECK(plan_memory(r).n_blocks == 4096 && plan_memory(r).max_model_len == 4096);
  r.max_num_seqs = 2;
  CHECK(plan_memory(r).n_blocks == 512);
}

TEST(what_is_asked_for_is_given) {
  MemoryRequest r = request();
  r.kv_cache_memory = GiB;
  r.max_model_len = 1000;
  CHECK(plan_memory(r).n_blocks == 1024 && plan_memory(r).max_model_len == 1000);
}

TEST(without_a_length_a_small_memory_shortens_it) {
  MemoryRequest r = request();
  r.free_bytes = 100 * MiB;
  CHECK(plan_memory(r).n_blocks == 50 && plan_memory(r).max_model_len == 800);
}

TEST(what_cannot_fit_says_what_would) {
  MemoryRequest r = request();
  r.max_model_len = 4096;
  r.kv_cache_memory = 128 * MiB;
  THROWS("needs 256.00 MiB of KV cache and 128.00 MiB are available; --max-model-len 2048 would fit", plan_memory(r));
  THROWS("--kv-cache-memory 256MiB", plan_memory(r));
  r = request();
  r.kv_cache_memory = 64 * GiB;
  THROWS("32.00 GiB are free", plan_memory(r));
  r = request();
  r.max_model_len = 5000;
  THROWS("4096 positions", plan_memory(r));
  r = request();
  r.free_bytes = MiB;
  THROWS("needs 256.00 MiB", plan_memory(r));
  r.kv_cache_memory = 0;
  THROWS("needs 256.00 MiB of KV cache and 0 bytes are available", plan_memory(r));
  r.kv_cache_memory.reset();
  r.free_bytes = 1024;
  THROWS("512 bytes are available; --kv-cache-memory 256MiB would fit", plan_memory(r));
}
