// Packed integers of weights (pack.h) times integers of activations, in the registers of one instruction set: exact,
// whatever the set. With VNNI (GATTLING_VNNI) four columns are multiplied at once and summed as int32; elsewhere one,
// in fp32, which holds every sum of 32 products of a byte and 7 bits.
#pragma once

#if defined(GATTLING_VNNI)

typedef int8_t Int;  // of activations
constexpr int kColumnsAtOnce = 4;

struct Line {
  __m512i i;
};
struct Sum {
  __m512i i;
};
struct Column {
  __m512i i;  // unsigned bytes
};
struct Factor {
  __m512i i;
};

INLINE Line load_line(const std::byte* p) {
  return {_mm512_loadu_si512(p)};
}
INLINE Sum first_sum(const IntBlock& block) {
  return {_mm512_set1_epi32(block.correction)};
}
INLINE V value_of(Sum sum) {
  return {_mm512_cvtepi32_ps(sum.i)};
}
// Columns [kPart * 4, + 4) of a line.
template <int kBits, int kPart>
INLINE Column column(Line line) {
  if constexpr (kBits == 8) return {line.i};
  const __m512i low = kPart == 0 ? line.i : _mm512_srli_epi16(line.i, 4);
  return {_mm512_and_si512(low, _mm512_set1_epi8(15))};
}
INLINE Factor factor(const Int* p) {
  int32_t four;
  std::memcpy(&four, p, 4);
  return {_mm512_set1_epi32(four)};
}
// Written out because GCC 12 copies the intrinsic's accumulator in and out of every loop.
INLINE Sum multiply(Column w, Factor x, Sum sum) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum.i) : "v"(w.i), "v"(x.i));
  return sum;
}
// Numbers that are t - 1.5 * 2^23 for these t, and integers in [-127, 127].
INLINE void store_ints(Int* p, V t) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_castps_si512(t.f)));
}

#else

typedef float Int;
constexpr int kColumnsAtOnce = 1;

typedef V Sum;
typedef V Column;
typedef V Factor;

INLINE Sum first_sum(const IntBlock& block) {
  return broadcast(static_cast<float>(block.correction));
}
INLINE V value_of(Sum sum) {
  return sum;
}
INLINE Factor factor(const Int* p) {
  return broadcast(*p);
}
INLINE Sum multiply(Column w, Factor x, Sum sum) {
  return fma(x, w, sum);
}
INLINE void store_ints(Int* p, V t) {
  store(p, sub(t, broadcast(0x1.8p23f)));
}

// Column kPart of a line lies in bits [shift, shift + kBits) of its 16 words.
template <int kBits, int kPart>
constexpr int shift_of() {
  return kPart % 4 * 8 + kPart / 4 * 4;
}

#if defined(GATTLING_AVX512)

struct Line {
  __m512i i;
};
INLINE Line load_line(const std::byte* p) {
  return {_mm512_loadu_si512(p)};
}
template <int kBits, int kPart>
INLINE Column column(Line line) {
  const __m512i low = _mm512_srli_epi32(line.i, shift_of<kBits, kPart>());
  if constexpr (kBits == 4) {  // a look-up by the low four bits
    const __m512 numbers = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return {_mm512_permutexvar_ps(low, numbers)};
  } else {
    return {_mm512_cvtepi32_ps(_mm512_and_si512(low, _mm512_set1_epi32(255)))};
  }
}

#elif defined(GATTLING_AVX2)

struct Line {
  __m256i lo, hi;
};
INLINE Line load_line(const std::byte* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32))};
}
template <int kBits, int kPart>
INLINE Column column(Line line) {
  constexpr int shift = shift_of<kBits, kPart>();
  const __m256i mask = _mm256_set1_epi32((1 << kBits) - 1);
  return {_mm256_cvtepi32_ps(_mm256_and_si256(_mm256_srli_epi32(line.lo, shift), mask)),
          _mm256_cvtepi32_ps(_mm256_and_si256(_mm256_srli_epi32(line.hi, shift), mask))};
}

#elif defined(GATTLING_NEON)

struct Line {
  uint32x4_t i[4];
};
INLINE Line load_line(const std::byte* p) {
  const auto* words = reinterpret_cast<const uint32_t*>(p);
  return {{vld1q_u32(words), vld1q_u32(words + 4), vld1q_u32(words + 8), vld1q_u32(words + 12)}};
}
template <int kBits, int kPart>
INLINE Column column(Line line) {
  constexpr int shift = shift_of<kBits, kPart>();
  const uint32x4_t mask = vdupq_n_u32((1u << kBits) - 1u);
  return quarters([&](int i) {
    uint32x4_t low = line.i[i];
    if constexpr (shift > 0) low = vshrq_n_u32(low, shift);
    return vcvtq_f32_u32(vandq_u32(low, mask));
  });
}

#else

typedef int32_t Ints __attribute__((vector_size(64)));
struct Line {
  Words i;
};
INLINE Line load_line(const std::byte* p) {
  Line line;
  std::memcpy(&line.i, p, 64);
  return line;
}
template <int kBits, int kPart>
INLINE Column column(Line line) {
  const Words low = (line.i >> shift_of<kBits, kPart>()) & ((1u << kBits) - 1u);
  return {__builtin_convertvector((Ints)low, Floats)};
}

#endif
#endif
