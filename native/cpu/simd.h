// V: 16 floats in the registers of one instruction set. Included by kernels.inl inside that set's own namespace, so
// that nothing here is shared between sets. fma(a, b, c) is a * b + c, rounded once where the set can and twice in
// `plain`.
#pragma once

#define INLINE [[maybe_unused]] static inline __attribute__((always_inline))

constexpr int kLanes = 16;

#if defined(GATTLING_AVX512)

struct V {
  __m512 f;
};
INLINE __mmask16 first_lanes(int n) {
  return static_cast<__mmask16>((1u << n) - 1u);
}
INLINE V broadcast(float x) {
  return {_mm512_set1_ps(x)};
}
INLINE V load(const float* p) {
  return {_mm512_loadu_ps(p)};
}
INLINE V load(const bf16* p) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16))};
}
INLINE V load(const f16* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
INLINE V load(const int8_t* p) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
}
INLINE void load_pair(const bf16* p, V& even, V& odd) {
  const __m512i bits = _mm512_loadu_si512(p);
  even = {_mm512_castsi512_ps(_mm512_slli_epi32(bits, 16))};
  odd = {_mm512_castsi512_ps(_mm512_and_si512(bits, _mm512_set1_epi32(static_cast<int>(0xffff0000u))))};
}
INLINE V load_n(const float* p, int n) {
  return {_mm512_maskz_loadu_ps(first_lanes(n), p)};
}
INLINE void store(float* p, V a) {
  _mm512_storeu_ps(p, a.f);
}
INLINE void store_n(float* p, V a, int n) {
  _mm512_mask_storeu_ps(p, first_lanes(n), a.f);
}
INLINE V add(V a, V b) {
  return {_mm512_add_ps(a.f, b.f)};
}
INLINE V sub(V a, V b) {
  return {_mm512_sub_ps(a.f, b.f)};
}
INLINE V mul(V a, V b) {
  return {_mm512_mul_ps(a.f, b.f)};
}
INLINE V div(V a, V b) {
  return {_mm512_div_ps(a.f, b.f)};
}
INLINE V fma(V a, V b, V c) {
  return {_mm512_fmadd_ps(a.f, b.f, c.f)};
}
INLINE V max(V a, V b) {
  return {_mm512_max_ps(a.f, b.f)};
}
INLINE V min(V a, V b) {
  return {_mm512_min_ps(a.f, b.f)};
}
// p * 2^n for t = n + 1.5 * 2^23
INLINE V scale_by_exponent(V p, V t) {
  return {
      _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p.f), _mm512_slli_epi32(_mm512_castps_si512(t.f), 23)))};
}
// Bit i: a[i] >= b[i]
INLINE uint32_t at_least(V a, V b) {
  return _mm512_cmp_ps_mask(a.f, b.f, _CMP_GE_OQ);
}

#elif defined(GATTLING_AVX2)

struct V {
  __m256 lo, hi;
};
INLINE V broadcast(float x) {
  return {_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
INLINE V load(const float* p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
INLINE __m256 widen8(__m128i bits) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
INLINE V load(const bf16* p) {
  return {widen8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          widen8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
INLINE V load(const f16* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
INLINE __m256 widen8(const int8_t* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
INLINE V load(const int8_t* p) {
  return {widen8(p), widen8(p + 8)};
}
INLINE void load_pair(const bf16* p, V& even, V& odd) {
  const __m256i lo = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  const __m256i hi = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 16));
  const __m256i upper = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
  even = {_mm256_castsi256_ps(_mm256_slli_epi32(lo, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(hi, 16))};
  odd = {_mm256_castsi256_ps(_mm256_and_si256(lo, upper)), _mm256_castsi256_ps(_mm256_and_si256(hi, upper))};
}
INLINE void store(float* p, V a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}
INLINE V load_n(const float* p, int n) {
  float lanes[kLanes] = {};
  for (int i = 0; i < n; ++i) lanes[i] = p[i];
  return load(lanes);
}
INLINE void store_n(float* p, V a, int n) {
  float lanes[kLanes];
  store(lanes, a);
  for (int i = 0; i < n; ++i) p[i] = lanes[i];
}
INLINE V add(V a, V b) {
  return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
INLINE V sub(V a, V b) {
  return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
INLINE V mul(V a, V b) {
  return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
INLINE V div(V a, V b) {
  return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
INLINE V fma(V a, V b, V c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
INLINE V max(V a, V b) {
  return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
}
INLINE V min(V a, V b) {
  return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)};
}
INLINE __m256 scale8(__m256 p, __m256 t) {
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_castps_si256(t), 23)));
}
INLINE V scale_by_exponent(V p, V t) {
  return {scale8(p.lo, t.lo), scale8(p.hi, t.hi)};
}
INLINE uint32_t at_least(V a, V b) {
  const int lo = _mm256_movemask_ps(_mm256_cmp_ps(a.lo, b.lo, _CMP_GE_OQ));
  const int hi = _mm256_movemask_ps(_mm256_cmp_ps(a.hi, b.hi, _CMP_GE_OQ));
  return static_cast<uint32_t>(lo | hi << 8);
}

#elif defined(GATTLING_NEON)

struct V {
  float32x4_t f[4];
};
// of(i) for each quarter
template <typename F>
INLINE V quarters(const F& of) {
  return {{of(0), of(1), of(2), of(3)}};
}
INLINE V broadcast(float x) {
  return quarters([&](int) { return vdupq_n_f32(x); });
}
INLINE V load(const float* p) {
  return quarters([&](int i) { return vld1q_f32(p + i * 4); });
}
INLINE V load(const bf16* p) {
  const auto* bits = reinterpret_cast<const uint16_t*>(p);
  return quarters([&](int i) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(bits + i * 4), 16)); });
}
INLINE V load(const f16* p) {
  const auto* bits = reinterpret_cast<const uint16_t*>(p);
  return quarters([&](int i) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(bits + i * 4))); });
}
INLINE V load(const int8_t* p) {
  const int8x16_t bytes = vld1q_s8(p);
  const int16x8_t halves[2] = {vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes)};
  return quarters([&](int i) {
    const int16x8_t half = halves[i / 2];
    return vcvtq_f32_s32(i % 2 == 0 ? vmovl_s16(vget_low_s16(half)) : vmovl_high_s16(half));
  });
}
INLINE void load_pair(const bf16* p, V& even, V& odd) {
  const auto* pairs = reinterpret_cast<const uint32_t*>(p);
  even = quarters([&](int i) { return vreinterpretq_f32_u32(vshlq_n_u32(vld1q_u32(pairs + i * 4), 16)); });
  odd = quarters(
      [&](int i) { return vreinterpretq_f32_u32(vandq_u32(vld1q_u32(pairs + i * 4), vdupq_n_u32(0xffff0000u))); });
}
INLINE void store(float* p, V a) {
  for (int i = 0; i < 4; ++i) vst1q_f32(p + i * 4, a.f[i]);
}
INLINE V load_n(const float* p, int n) {
  float lanes[kLanes] = {};
  for (int i = 0; i < n; ++i) lanes[i] = p[i];
  return load(lanes);
}
INLINE void store_n(float* p, V a, int n) {
  float lanes[kLanes];
  store(lanes, a);
  for (int i = 0; i < n; ++i) p[i] = lanes[i];
}
INLINE V add(V a, V b) {
  return quarters([&](int i) { return vaddq_f32(a.f[i], b.f[i]); });
}
INLINE V sub(V a, V b) {
  return quarters([&](int i) { return vsubq_f32(a.f[i], b.f[i]); });
}
INLINE V mul(V a, V b) {
  return quarters([&](int i) { return vmulq_f32(a.f[i], b.f[i]); });
}
INLINE V div(V a, V b) {
  return quarters([&](int i) { return vdivq_f32(a.f[i], b.f[i]); });
}
INLINE V fma(V a, V b, V c) {
  return quarters([&](int i) { return vfmaq_f32(c.f[i], a.f[i], b.f[i]); });
}
// Not vmaxq and vminq, which make a NaN of either operand's.
INLINE V max(V a, V b) {
  return quarters([&](int i) { return vbslq_f32(vcgtq_f32(a.f[i], b.f[i]), a.f[i], b.f[i]); });
}
INLINE V min(V a, V b) {
  return quarters([&](int i) { return vbslq_f32(vcltq_f32(a.f[i], b.f[i]), a.f[i], b.f[i]); });
}
INLINE V scale_by_exponent(V p, V t) {
  return quarters([&](int i) {
    const int32x4_t exponent = vshlq_n_s32(vreinterpretq_s32_f32(t.f[i]), 23);
    return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(p.f[i]), exponent));
  });
}
INLINE uint32_t at_least(V a, V b) {
  constexpr uint32_t kBits[4] = {1, 2, 4, 8};
  uint32_t mask = 0;
  for (int i = 0; i < 4; ++i) mask |= vaddvq_u32(vandq_u32(vcgeq_f32(a.f[i], b.f[i]), vld1q_u32(kBits))) << (i * 4);
  return mask;
}

#else  // GCC's and clang's portable vectors: whatever the target has

typedef float Floats __attribute__((vector_size(64)));
typedef uint32_t Words __attribute__((vector_size(64)));
typedef uint16_t Halves __attribute__((vector_size(32)));
typedef int8_t Bytes __attribute__((vector_size(16)));
struct V {
  Floats f;
};
INLINE V broadcast(float x) {
  return {Floats{} + x};
}
INLINE V load(const float* p) {
  V a;
  std::memcpy(&a.f, p, 64);
  return a;
}
INLINE Words load_words(const void* p) {
  Halves halves;
  std::memcpy(&halves, p, 32);
  return __builtin_convertvector(halves, Words);
}
INLINE V load(const bf16* p) {
  return {(Floats)(load_words(p) << 16)};
}
// As widen(f16) of half.h.
INLINE V load(const f16* p) {
  const Words bits = load_words(p);
  const Words magnitude = (bits & 0x7fffu) << 13;
  const Words finite = (Words)((Floats)magnitude * 0x1p112f);
  const Words special = (Words)(magnitude >= 0x0f800000u);
  return {(Floats)(((bits & 0x8000u) << 16) | (special & (magnitude | 0x7f800000u)) | (~special & finite))};
}
INLINE V load(const int8_t* p) {
  Bytes bytes;
  std::memcpy(&bytes, p, 16);
  return {__builtin_convertvector(bytes, Floats)};
}
INLINE void load_pair(const bf16* p, V& even, V& odd) {
  Words bits;
  std::memcpy(&bits, p, 64);
  even = {(Floats)(bits << 16)};
  odd = {(Floats)(bits & 0xffff0000u)};
}
INLINE void store(float* p, V a) {
  std::memcpy(p, &a.f, 64);
}
INLINE V load_n(const float* p, int n) {
  V a = broadcast(0);
  std::memcpy(&a.f, p, sizeof(float) * static_cast<size_t>(n));
  return a;
}
INLINE void store_n(float* p, V a, int n) {
  std::memcpy(p, &a.f, sizeof(float) * static_cast<size_t>(n));
}
INLINE V add(V a, V b) {
  return {a.f + b.f};
}
INLINE V sub(V a, V b) {
  return {a.f - b.f};
}
INLINE V mul(V a, V b) {
  return {a.f * b.f};
}
INLINE V div(V a, V b) {
  return {a.f / b.f};
}
INLINE V fma(V a, V b, V c) {
  return {a.f * b.f + c.f};
}
INLINE V choose(Words mask, V a, V b) {
  return {(Floats)((mask & (Words)a.f) | (~mask & (Words)b.f))};
}
INLINE V max(V a, V b) {
  return choose((Words)(a.f > b.f), a, b);
}
INLINE V min(V a, V b) {
  return choose((Words)(a.f < b.f), a, b);
}
INLINE V scale_by_exponent(V p, V t) {
  return {(Floats)((Words)p.f + ((Words)t.f << 23))};
}
INLINE uint32_t at_least(V a, V b) {
  uint32_t mask = 0;
  for (int i = 0; i < kLanes; ++i) mask |= static_cast<uint32_t>(a.f[i] >= b.f[i]) << i;
  return mask;
}

#endif

// min and max give their second operand when one is a NaN, in every set.

// Weights of tiles are pairs of k in bf16 (see pack.h), rows of 16 otherwise.
template <typename W>
INLINE void load_pair(const W* p, V& even, V& odd) {
  even = load(p);
  odd = load(p + kLanes);
}

// In the fixed order of a binary tree.
INLINE float sum_of(V a) {
  float lanes[kLanes];
  store(lanes, a);
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  return lanes[0];
}

INLINE float max_of(V a) {
  float lanes[kLanes];
  store(lanes, a);
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lanes[i] = lanes[i] > lanes[i + half] ? lanes[i] : lanes[i + half];
  return lanes[0];
}

// e^x for x in [-86.5, 88], clamped outside: never 0, infinite or subnormal. A NaN stays one; exp(0) is 1.
// x = n ln 2 + r, |r| <= ln 2 / 2; the polynomial is Cephes' expf (relative error below 2e-7).
INLINE V exp(V x) {
  x = max(broadcast(-86.5f), min(broadcast(88.0f), x));
  const V shift = broadcast(0x1.8p23f);
  const V t = fma(x, broadcast(1.44269504f), shift);
  const V n = sub(t, shift);
  const V r = fma(n, broadcast(2.12194440e-4f), fma(n, broadcast(-0.693359375f), x));
  V p = broadcast(1.9875691500e-4f);
  p = fma(p, r, broadcast(1.3981999507e-3f));
  p = fma(p, r, broadcast(8.3334519073e-3f));
  p = fma(p, r, broadcast(4.1665795894e-2f));
  p = fma(p, r, broadcast(1.6666665459e-1f));
  p = fma(p, r, broadcast(5.0000001201e-1f));
  p = add(fma(p, mul(r, r), r), broadcast(1));
  return scale_by_exponent(p, t);
}
