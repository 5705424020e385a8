// What the headers of kernels share. They are C++17 without the rest of the engine, since nvcc reads them too.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/runtime.h"

namespace gattling::cuda {

// The 16-bit type of weights, activations and the cache.
enum class Half : uint8_t { BF16, F16 };

// The rows of a step on the device, as begin() left them. Rows past *n_rows have slot -1.
struct StepRows {
  const int32_t* tokens;     // [max_rows] ids, those from the pool resolved
  const int32_t* positions;  // [max_rows]
  const int32_t* slots;      // [max_rows]
};

// The paged cache of a layer: [n_blocks][K, V][n_kv_heads][block_size][head_dim], elements of type `half`.
struct PagedCache {
  void* data;
  Half half;
  int n_kv_heads;
  int block_size;
  int head_dim;
  const int32_t* block_tables;  // [n_slots, max_blocks]
  int max_blocks;
};

}  // namespace gattling::cuda
