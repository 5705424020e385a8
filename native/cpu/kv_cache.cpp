#include "cpu/kv_cache.h"

#include <algorithm>
#include <cmath>
#include <limits>

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

// x [n] to integers in [-127, 127] that lie `stride` apart; returns their scale, a NaN when x is not finite.
float write_ints(const float* x, int64_t n, int64_t stride, int8_t* to) {
  float largest = 0, nothing = 0;
  for (int64_t i = 0; i < n; ++i) {
    largest = std::max(largest, std::abs(x[i]));
    nothing += x[i] * 0;
  }
  const bool some = nothing == 0 && largest > 1e-30f;
  const float inverse = some ? 127 / largest : 0;
  for (int64_t i = 0; i < n; ++i) to[i * stride] = some ? static_cast<int8_t>(std::nearbyint(x[i] * inverse)) : 0;
  return nothing == 0 ? (some ? largest / 127 : 0) : std::numeric_limits<float>::quiet_NaN();
}

int64_t scale_bytes(const StateShape& shape) {  // of a block and head
  return shape.kv_dtype == DType::Int8 ? int64_t{2} * shape.block_size * static_cast<int64_t>(sizeof(float)) : 0;
}

int64_t key_bytes(const StateShape& shape) {
  return int64_t{shape.block_size} * shape.head_dim * static_cast<int64_t>(size_of(shape.kv_dtype));
}

}  // namespace

KvCache::KvCache(const StateShape& shape)
    : dtype_(shape.kv_dtype),
      n_kv_heads_(shape.n_kv_heads),
      n_blocks_(shape.n_blocks),
      block_size_(shape.block_size),
      head_dim_(shape.head_dim),
      v_offset_(key_bytes(shape)),
      head_bytes_(2 * v_offset_ + scale_bytes(shape)),
      memory_(block_bytes(shape) * static_cast<size_t>(shape.n_blocks) + kSlack) {}

size_t KvCache::block_bytes(const StateShape& shape) {
  return static_cast<size_t>(shape.n_layers) * static_cast<size_t>(shape.n_kv_heads) *
         static_cast<size_t>(2 * key_bytes(shape) + scale_bytes(shape));
}

std::byte* KvCache::head(int layer, int head) const {
  return memory_.data() + layer * n_blocks_ * block_stride() + head * head_bytes_;
}

void KvCache::append_ints(std::byte* at, int offset, const float* k, const float* v) const {
  auto* keys = reinterpret_cast<int8_t*>(at) + offset / 16 * 16 * head_dim_ + offset % 16;
  auto* values = reinterpret_cast<int8_t*>(at + v_offset_) + offset * head_dim_;
  auto* scales = reinterpret_cast<float*>(at + scales_offset()) + offset;
  scales[0] = write_ints(k, head_dim_, 16, keys);
  scales[block_size_] = write_ints(v, head_dim_, 1, values);
}

void KvCache::append(int layer, int head, int block, int offset, const float* k, const float* v) const {
  std::byte* at = this->head(layer, head) + block * block_stride();
  if (dtype_ == DType::F32)
    write<float>(at, v_offset_, head_dim_, offset, k, v);
  else if (dtype_ == DType::BF16)
    write<bf16>(at, v_offset_, head_dim_, offset, k, v);
  else if (dtype_ == DType::Int8)
    append_ints(at, offset, k, v);
  else
    write<f16>(at, v_offset_, head_dim_, offset, k, v);
}

}  // namespace gattling::cpu
