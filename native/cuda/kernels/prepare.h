// Makes a step's row arrays on the device out of what the host has uploaded.
#pragma once

#include "cuda/kernels/common.h"

namespace gattling::cuda {

struct BlockEntry {
  int32_t index;  // of a cell in block_tables
  int32_t block;
};

struct PrepareArgs {
  // Uploaded: [n_rows] each; a token below 0 is the one that its slot sampled last.
  const int32_t* tokens_in;
  const int32_t* positions_in;
  const int32_t* slots_in;
  const BlockEntry* entries;
  int n_rows;
  int n_entries;
  const int32_t* last_tokens;  // [n_slots]
  // Written: [bucket] each; rows from n_rows on get token 0, position 0 and slot -1.
  int32_t* tokens;
  int32_t* positions;
  int32_t* slots;
  int32_t* block_tables;
  int bucket;
};
void prepare(const PrepareArgs& args, Stream& stream);

}  // namespace gattling::cuda
