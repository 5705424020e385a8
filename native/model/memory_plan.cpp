#include "model/memory_plan.h"

#include <algorithm>
#include <cstdio>

#include "backend/error.h"

namespace gattling {

namespace {

// Unless more is asked for: enough for a busy server, little enough for a laptop.
constexpr uint64_t kDefaultCache = uint64_t{4} << 30;
constexpr int64_t kMostBlocks = int64_t{1} << 30;

}  // namespace

MemoryPlan plan_memory(const MemoryRequest& r) {
  check(r.max_model_len <= r.model_max_len, "max_model_len is ", r.max_model_len, "; the model was made for ",
        r.model_max_len, " positions at most");
  const auto blocks_for = [&](int64_t n_tokens) { return (n_tokens + r.block_size - 1) / r.block_size; };
  const int wanted = r.max_model_len ? r.max_model_len : r.model_max_len;
  const uint64_t one = blocks_for(wanted) * r.block_bytes;
  const uint64_t budget = r.kv_cache_memory.value_or(std::min(std::max(kDefaultCache, one), r.free_bytes / 2));
  if (r.kv_cache_memory) {
    check(budget <= r.free_bytes, "kv_cache_memory is ", format_bytes(budget), "; ", format_bytes(r.free_bytes),
          " are free beside the weights");
  }
  const int64_t useful = blocks_for(wanted) * r.max_num_seqs;
  const int64_t n_blocks = std::min({static_cast<int64_t>(budget / r.block_bytes), useful, kMostBlocks / r.block_size});
  const int64_t fit = n_blocks * r.block_size;
  if (fit < (r.max_model_len ? wanted : 1)) {
    const std::string shorter = fit > 0 ? concat("--max-model-len ", fit, " would fit, or ") : "";
    fail("a sequence of ", wanted, " tokens needs ", format_bytes(one), " of KV cache and ", format_bytes(budget),
         " are available; ", shorter, "--kv-cache-memory ", (one + (1 << 20) - 1) >> 20, "MiB",
         shorter.empty() ? " would fit" : "", " if the memory is there");
  }
  return {static_cast<int>(n_blocks), static_cast<int>(std::min<int64_t>(wanted, fit))};
}

std::string format_bytes(uint64_t bytes) {
  const char* units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 1024 && unit < 4) value /= 1024, ++unit;
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.2f %s", value, units[unit]);
  return text;
}

}  // namespace gattling
