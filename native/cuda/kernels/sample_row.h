// What the sampling kernels share on the device: keys that order tokens, random numbers, loads of a row.
#pragma once

#include "cuda/device.h"
#include "cuda/kernels/sample.h"

namespace gattling::cuda {

constexpr float kNone = -INFINITY;

// Larger for what sorts first: the greater value, then the lower id. -0 equals 0. A NaN has a key too.
__device__ __forceinline__ uint64_t order_key(float value, int32_t id) {
  const uint32_t bits = __float_as_uint(value + 0.0f);
  const uint32_t ordered = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return uint64_t{ordered} << 32 | static_cast<uint32_t>(~id);
}

__device__ __forceinline__ int32_t id_of(uint64_t key) {
  return static_cast<int32_t>(~static_cast<uint32_t>(key));
}

__device__ __forceinline__ float value_of(uint64_t key) {
  const uint32_t ordered = static_cast<uint32_t>(key >> 32);
  return __uint_as_float(ordered & 0x80000000u ? ordered & 0x7fffffffu : ~ordered);
}

__device__ __forceinline__ bool is_finite(float x) {
  return (__float_as_uint(x) & 0x7f800000u) != 0x7f800000u;
}

// A product that no addition is fused with.
__device__ __forceinline__ float product(float a, float b) {
#ifdef __CUDACC__
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}

// As philox() of backend/sampling.h.
__device__ __forceinline__ uint32_t random_word(uint64_t seed, uint32_t position, uint32_t token) {
  uint32_t c0 = token, c1 = position, c2 = 0, c3 = 0;
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  GATTLING_UNROLL
  for (int round = 0; round < 10; ++round) {
    const uint32_t n0 = __umulhi(0xCD9E8D57u, c2) ^ c1 ^ k0;
    const uint32_t n2 = __umulhi(0xD2511F53u, c0) ^ c3 ^ k1;
    c1 = 0xCD9E8D57u * c2;
    c3 = 0xD2511F53u * c0;
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c0;
}

constexpr float kMaxGumbel = 17.4f;  // the uniform is at most 1 - 2^-24, and so the variate at most 16.64

// As gumbel() of backend/sampling.h. The half is rounded away from the greatest words, which must not reach 1: an
// infinite variate would draw its token whatever the logits.
__device__ __forceinline__ float gumbel(uint64_t seed, uint32_t position, uint32_t token) {
  const float word = static_cast<float>(random_word(seed, position, token) >> 8);
  return -logf(-logf(fminf((word + 0.5f) * 0x1p-24f, 0x1.fffffep-1f)));
}

struct LogitRow {
  const float* data;
  int n;
  bool aligned;
};

__device__ __forceinline__ LogitRow raw_row(const SampleBatch& b, int row) {
  return {b.logits + row * b.stride, b.vocab_size, b.aligned != 0};
}

// Elements i to i + 3; past the row -infinity. i is a multiple of 4.
__device__ __forceinline__ void load_quad(const LogitRow& row, int i, float (&x)[4]) {
  if (row.aligned && i < row.n) {
    const float4 v = *reinterpret_cast<const float4*>(row.data + i);
    x[0] = v.x;
    x[1] = v.y;
    x[2] = v.z;
    x[3] = v.w;
  }
  GATTLING_UNROLL
  for (int k = 0; k < 4; ++k)
    if (i + k >= row.n)
      x[k] = kNone;
    else if (!row.aligned)
      x[k] = row.data[i + k];
}

// The mask of a constrained row, null when none has come.
__device__ __forceinline__ const uint32_t* mask_of(const SampleBatch& b, const SampleTask& task) {
  if (task.mask_stamp == 0 || b.masks == nullptr) return nullptr;
  const uint32_t* mask = b.masks + task.slot * b.mask_size;
  return mask[b.mask_size - 1] == task.mask_stamp ? mask : nullptr;
}

__device__ __forceinline__ bool bans_stops(const SampleTask& task, const SlotSampling& slot) {
  return slot.n_stops > 0 && task.position - slot.n_prompt < slot.min_tokens;
}

// Whether the row draws from logits that the survey has adjusted.
__device__ __forceinline__ bool adjusts(const SampleBatch& b, const SampleTask& task, const SlotSampling& slot) {
  return task.sample && (slot.penalises || slot.n_bias > 0 || bans_stops(task, slot) || mask_of(b, task) != nullptr);
}

// The logits that a row draws from.
__device__ __forceinline__ LogitRow drawn_row(const SampleBatch& b, int row, const SampleTask& task,
                                              const SlotSampling& slot) {
  if (adjusts(b, task, slot)) return {b.adjusted + row * b.row_size, b.vocab_size, true};
  return raw_row(b, row);
}

__device__ __forceinline__ bool filters(const SlotSampling& slot) {
  return slot.temperature > 0 && (slot.top_k > 0 || slot.top_p < 1);
}

// As the CPU has it, bit for bit: the greatest becomes 0.
__device__ __forceinline__ float temper(float x, float max, float temperature) {
  return (x - max) / temperature;
}

__device__ __forceinline__ uint64_t warp_max(uint64_t x) {
  for (int bits = kWarp / 2; bits > 0; bits /= 2) {
    const uint64_t other = __shfl_xor_sync(kAllLanes, x, bits);
    x = other > x ? other : x;
  }
  return x;
}
template <typename T>
__device__ __forceinline__ T warp_total(T x) {
  for (int bits = kWarp / 2; bits > 0; bits /= 2) x += __shfl_xor_sync(kAllLanes, x, bits);
  return x;
}

struct RowSummary {
  bool finite;
  float max;      // raw
  uint64_t best;  // key of the best adjusted logit
};

// Of the survey's chunks; each warp for itself, with all of its lanes.
__device__ __forceinline__ RowSummary summarise(const SampleBatch& b, int row) {
  const ChunkSurvey* chunks = b.surveys + static_cast<int64_t>(row) * b.n_chunks;
  bool finite = true;
  float max = kNone;
  uint64_t best = 0;
  for (int i = lane_id(); i < b.n_chunks; i += kWarp) {
    finite = finite && chunks[i].finite != 0;
    max = fmaxf(max, chunks[i].max);
    best = chunks[i].best > best ? chunks[i].best : best;
  }
  return {__all_sync(kAllLanes, finite) != 0, warp_max(max), warp_max(best)};
}

}  // namespace gattling::cuda
