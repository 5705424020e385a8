#include "cpu/kv_cache.h"

#include "backend/half.h"

namespace gattling::cpu {
namespace {

// The last V row may be read up to a vector beyond its end.
constexpr size_t kSlack = 16 * sizeof(float);

template <typename T>
void write(std::byte* block, int64_t v_offset, int64_t head_dim, int offset, const float* k, const float* v) {
  T* keys = reinterpret_cast<T*>(block) + offset / 16 * 16 * head_dim + offset % 16;
  T* values = reinterpret_cast<T*>(block + v_offset) + offset * head_dim;
  for (int64_t d = 0; d < head_dim; ++d) {
    narrow(k[d], keys[d * 16]);
    narrow(v[d], values[d]);
  }
}

}  // namespace

KvCache::KvCache(const StateShape& shape)
    : dtype_(shape.kv_dtype),
      n_kv_heads_(shape.n_kv_heads),
      n_blocks_(shape.n_blocks),
      head_dim_(shape.head_dim),
      v_offset_(int64_t{shape.block_size} * shape.head_dim * static_cast<int64_t>(size_of(shape.kv_dtype))),
      memory_(block_bytes(shape) * static_cast<size_t>(shape.n_blocks) + kSlack) {}

size_t KvCache::block_bytes(const StateShape& shape) {
  return size_t{2} * static_cast<size_t>(shape.n_layers) * static_cast<size_t>(shape.n_kv_heads) *
         static_cast<size_t>(shape.block_size) * static_cast<size_t>(shape.head_dim) * size_of(shape.kv_dtype);
}

std::byte* KvCache::head(int layer, int head) const {
  return memory_.data() + layer * n_blocks_ * block_stride() + head * 2 * v_offset_;
}

void KvCache::append(int layer, int head, int block, int offset, const float* k, const float* v) const {
  std::byte* at = this->head(layer, head) + block * block_stride();
  if (dtype_ == DType::F32)
    write<float>(at, v_offset_, head_dim_, offset, k, v);
  else if (dtype_ == DType::BF16)
    write<bf16>(at, v_offset_, head_dim_, offset, k, v);
  else
    write<f16>(at, v_offset_, head_dim_, offset, k, v);
}

}  // namespace gattling::cpu
