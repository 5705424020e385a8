// The paged cache of keys and values. For each layer, block and KV head, K lies in tiles of 16 positions
// [block_size / 16][D][16] (a vector of keys per d, so that scores need no sum across lanes) and V, behind it, as
// [block_size][D].
#pragma once

#include "backend/backend.h"
#include "cpu/kernels.h"
#include "cpu/memory.h"

namespace gattling::cpu {

class KvCache {
 public:
  KvCache() = default;
  explicit KvCache(const StateShape& shape);

  static size_t block_bytes(const StateShape& shape);

  // Block 0 of a KV head in a layer.
  std::byte* head(int layer, int head) const;
  int64_t block_stride() const { return 2 * n_kv_heads_ * v_offset_; }
  int64_t v_offset() const { return v_offset_; }
  // Writes k and v [D] at a position of a block.
  void append(int layer, int head, int block, int offset, const float* k, const float* v) const;

 private:
  DType dtype_ = DType::F32;
  int64_t n_kv_heads_ = 0;
  int64_t n_blocks_ = 0;
  int64_t head_dim_ = 0;
  int64_t v_offset_ = 0;  // bytes of K of one block and head
  Memory memory_;
};

}  // namespace gattling::cpu
