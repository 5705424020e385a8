// How many KV blocks, and how long a request may be: from the memory at hand and what was asked for. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace gattling {

struct MemoryRequest {
  uint64_t block_bytes;                     // of the KV cache, all layers
  int block_size;                           // tokens
  uint64_t free_bytes;                      // left after the weights and what a step works in
  std::optional<uint64_t> kv_cache_memory;  // bytes asked for; empty: choose
  int max_model_len;                        // tokens asked for; 0: as many as the model was made for, or as fit
  int model_max_len;
  int max_num_seqs;
};

struct MemoryPlan {
  int n_blocks;
  int max_model_len;
};

// Throws Error when one sequence cannot fit; the sentence says what would.
MemoryPlan plan_memory(const MemoryRequest& request);

// "1.5 GiB"
std::string format_bytes(uint64_t bytes);

}  // namespace gattling
