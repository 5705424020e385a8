// The paged cache of keys and values. For each layer, block and KV head, K lies in tiles of 16 positions
// [block_size / 16][D][16] (a vector of keys per d, so that scores need no sum across lanes) and V, behind it, as
// [block_size][D]. Of int8, the scales of both follow: [2][block_size] fp32, symmetric for each token.
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
  int64_t block_stride() const { return n_kv_heads_ * head_bytes_; }
  int64_t v_offset() const { return v_offset_; }
  int64_t scales_offset() const { return 2 * v_offset_; }
  // Writes k and v [D] at a position of a block.
  void append(int layer, int head, int block, int offset, const float* k, const float* v) const;

 private:
  void append_ints(std::byte* at, int offset, const float* k, const float* v) const;

  DType dtype_ = DType::F32;
  int64_t n_kv_heads_ = 0;
  int64_t n_blocks_ = 0;
  int64_t block_size_ = 0;
  int64_t head_dim_ = 0;
  int64_t v_offset_ = 0;    // bytes of K of one block and head
  int64_t head_bytes_ = 0;  // of one block and head
  Memory memory_;
};

}  // namespace gattling::cpu
