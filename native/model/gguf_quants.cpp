// Layouts as in ggml-common.h (block_q4_0 ..) and values as in ggml-quants.c (dequantize_row_*), ggml-org/ggml. Scales
// are fp16; products of a scale with a group's 4- to 8-bit factor are exact in fp32.
#include "model/gguf_quants.h"

#include <bit>
#include <cstring>

#include "backend/half.h"

namespace gattling {
namespace {

using Bytes = const uint8_t*;

struct Factors {
  float scale;
  float offset = 0;
};

float half_at(Bytes at) {
  return widen(f16{static_cast<uint16_t>(at[0] | at[1] << 8)});
}

// Eight q at a time, one in each byte of a word, the first in its lowest.
using Word = uint64_t;
static_assert(std::endian::native == std::endian::little);

constexpr Word each(uint8_t byte) {
  return byte * Word{0x0101010101010101};
}

Word word_at(Bytes at) {
  Word word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

void put(Word q, int8_t* to) {
  std::memcpy(to, &q, sizeof(q));
}

// The bits of `mask` of every byte, once those below `shift` are gone. mask << shift fits into a byte.
Word field(Word bytes, int shift, uint8_t mask) {
  return bytes >> shift & each(mask);
}

// q - zero of every byte, for q and zero up to 127: the top bit keeps a byte from borrowing from the next.
Word minus(Word q, uint8_t zero) {
  return ((q | each(0x80)) - each(zero)) ^ each(0x80);
}

// Bit j of a byte in byte j, as 0 or 1.
Word spread(uint8_t bits) {
  return ((bits * each(1) & 0x8040201008040201) + each(0x7f)) >> 7 & each(1);
}

// A format has blocks of kElements in kBytes, in groups of kGroup. read() gives q of group g of a block, and its
// factors.

// {fp16 d; 16 bytes}: element j is the low nibble of byte j, j + 16 the high one. d * (nibble - 8)
struct Q4_0 {
  static constexpr int kBits = 4, kElements = 32, kBytes = 18, kGroup = 32;
  static constexpr bool kOffsets = false;
  static Factors read(Bytes block, int, int8_t* q) {
    for (int j = 0; j < 16; j += 8) {
      const Word nibbles = word_at(block + 2 + j);
      put(minus(field(nibbles, 0, 15), 8), q + j);
      put(minus(field(nibbles, 4, 15), 8), q + j + 16);
    }
    return {half_at(block)};
  }
};

// {fp16 d, m; 16 bytes}: nibbles as in Q4_0. d * nibble + m
struct Q4_1 {
  static constexpr int kBits = 4, kElements = 32, kBytes = 20, kGroup = 32;
  static constexpr bool kOffsets = true;
  static Factors read(Bytes block, int, int8_t* q) {
    Q4_0::read(block + 2, 0, q);
    const float d = half_at(block);
    return {d, half_at(block + 2) + 8 * d};
  }
};

// A block of 32 with fifth bits: bit j % 8 of byte j / 8 is element j's.
void read_5_bits(Bytes fifths, Bytes nibbles, uint8_t zero, int8_t* q) {
  for (int j = 0; j < 16; j += 8) {
    const Word from = word_at(nibbles + j);
    put(minus(field(from, 0, 15) | spread(fifths[j / 8]) << 4, zero), q + j);
    put(minus(field(from, 4, 15) | spread(fifths[j / 8 + 2]) << 4, zero), q + j + 16);
  }
}

// {fp16 d; 4 bytes of fifth bits; 16 bytes of nibbles as in Q4_0}. d * (5 bits - 16)
struct Q5_0 {
  static constexpr int kBits = 8, kElements = 32, kBytes = 22, kGroup = 32;
  static constexpr bool kOffsets = false;
  static Factors read(Bytes block, int, int8_t* q) {
    read_5_bits(block + 2, block + 6, 16, q);
    return {half_at(block)};
  }
};

// {fp16 d, m; then as Q5_0}. d * 5 bits + m
struct Q5_1 {
  static constexpr int kBits = 8, kElements = 32, kBytes = 24, kGroup = 32;
  static constexpr bool kOffsets = true;
  static Factors read(Bytes block, int, int8_t* q) {
    read_5_bits(block + 4, block + 8, 0, q);
    return {half_at(block), half_at(block + 2)};
  }
};

// {fp16 d; 32 signed bytes}. d * byte
struct Q8_0 {
  static constexpr int kBits = 8, kElements = 32, kBytes = 34, kGroup = 32;
  static constexpr bool kOffsets = false;
  static Factors read(Bytes block, int, int8_t* q) {
    std::memcpy(q, block + 2, 32);
    return {half_at(block)};
  }
};

// {16 bytes of a scale and a minimum of 4 bits; 64 bytes of 2 bits; fp16 d, dmin}, groups of 16: of elements
// 128 h + 32 j + l, the bits 2 j of byte 32 h + l. d * scale * bits - dmin * minimum
struct Q2_K {
  static constexpr int kBits = 4, kElements = 256, kBytes = 84, kGroup = 16;
  static constexpr bool kOffsets = true;
  static Factors read(Bytes block, int g, int8_t* q) {
    const Bytes from = block + 16 + 32 * (g / 8) + 16 * (g % 2);
    const int shift = g % 8 / 2 * 2;
    for (int l = 0; l < 16; l += 8) put(field(word_at(from + l), shift, 3), q + l);
    return {half_at(block + 80) * static_cast<float>(block[g] & 15),
            -(half_at(block + 82) * static_cast<float>(block[g] >> 4))};
  }
};

// {32 bytes of third bits; 64 bytes of 2 bits; 12 bytes of 16 scales of 6 bits; fp16 d}, groups of 16: 2 bits as in
// Q2_K, the third of elements 32 i + l is bit i of byte l. The scales' low nibbles lie in 8 bytes (0-7 low, 8-15 high),
// their upper bits in 4: of scale g at bits 2 (g / 4) of byte g % 4. d * (scale - 32) * (3 bits - 4)
struct Q3_K {
  static constexpr int kBits = 4, kElements = 256, kBytes = 110, kGroup = 16;
  static constexpr bool kOffsets = false;
  static Factors read(Bytes block, int g, int8_t* q) {
    const Bytes low = block + 32 + 32 * (g / 8) + 16 * (g % 2), third = block + 16 * (g % 2), scales = block + 96;
    const int shift = g % 8 / 2 * 2;
    for (int l = 0; l < 16; l += 8)
      put(minus(field(word_at(low + l), shift, 3) | field(word_at(third + l), g / 2, 1) << 2, 4), q + l);
    const int nibble = scales[g % 8] >> g / 8 * 4 & 15, upper = scales[8 + g % 4] >> g / 4 * 2 & 3;
    return {half_at(block + 108) * static_cast<float>((nibble | upper << 4) - 32)};
  }
};

// Scale and minimum of 6 bits, 8 of each in 12 bytes: of the first four the low bits of bytes g and g + 4; of the
// others nibbles of byte g + 4, and above them the top bits of bytes g - 4 and g.
struct SixBits {
  SixBits(Bytes at, int g)
      : scale(static_cast<float>(g < 4 ? at[g] & 63 : (at[g + 4] & 15) | at[g - 4] >> 6 << 4)),
        minimum(static_cast<float>(g < 4 ? at[g + 4] & 63 : at[g + 4] >> 4 | at[g] >> 6 << 4)) {}
  float scale, minimum;
};

// {fp16 d, dmin; 12 bytes of scales and minima; 128 bytes}, groups of 32: nibbles of bytes 32 (g / 2) + l, the low ones
// for even g. d * scale * nibble - dmin * minimum
struct Q4_K {
  static constexpr int kBits = 4, kElements = 256, kBytes = 144, kGroup = 32;
  static constexpr bool kOffsets = true;
  static Factors read(Bytes block, int g, int8_t* q) {
    const Bytes from = block + 16 + 32 * (g / 2);
    const int shift = g % 2 * 4;
    for (int l = 0; l < 32; l += 8) put(minus(field(word_at(from + l), shift, 15), 8), q + l);
    const SixBits of(block + 4, g);
    const float scale = half_at(block) * of.scale;
    return {scale, 8 * scale - half_at(block + 2) * of.minimum};
  }
};

// {as Q4_K, with 32 bytes of fifth bits before the 128}: bit g of byte l is that of element l of group g.
// d * scale * 5 bits - dmin * minimum
struct Q5_K {
  static constexpr int kBits = 8, kElements = 256, kBytes = 176, kGroup = 32;
  static constexpr bool kOffsets = true;
  static Factors read(Bytes block, int g, int8_t* q) {
    const Bytes high = block + 16, from = block + 48 + 32 * (g / 2);
    const int shift = g % 2 * 4;
    for (int l = 0; l < 32; l += 8)
      put(field(word_at(from + l), shift, 15) | field(word_at(high + l), g, 1) << 4, q + l);
    const SixBits of(block + 4, g);
    return {half_at(block) * of.scale, -(half_at(block + 2) * of.minimum)};
  }
};

// {128 bytes of nibbles; 64 bytes of 2 bits; 16 signed scales; fp16 d}, groups of 16: of elements 128 h + 32 j + l, the
// nibble j / 2 of byte 64 h + 32 (j % 2) + l, and above it the bits 2 j of byte 32 h + l. d * scale * (6 bits - 32)
struct Q6_K {
  static constexpr int kBits = 8, kElements = 256, kBytes = 210, kGroup = 16;
  static constexpr bool kOffsets = false;
  static Factors read(Bytes block, int g, int8_t* q) {
    const int h = g / 8, j = g % 8 / 2, half = 16 * (g % 2);
    const Bytes low = block + 64 * h + 32 * (j % 2) + half, high = block + 128 + 32 * h + half;
    for (int l = 0; l < 16; l += 8)
      put(minus(field(word_at(low + l), j / 2 * 4, 15) | field(word_at(high + l), 2 * j, 3) << 4, 32), q + l);
    return {half_at(block + 208) * static_cast<float>(static_cast<int8_t>(block[192 + g]))};
  }
};

template <typename Format>
class View final : public Quantised {
 public:
  View(const std::byte* data, int64_t k) : data_(reinterpret_cast<Bytes>(data)), blocks_(k / Format::kElements) {}

  int bits() const override { return Format::kBits; }
  int64_t group() const override { return Format::kGroup; }
  bool has_offsets() const override { return Format::kOffsets; }

  void read(int64_t row, int64_t first, int64_t count, int8_t* q, float* scales, float* offsets) const override {
    constexpr int kGroups = Format::kElements / Format::kGroup;
    const Bytes blocks = data_ + row * blocks_ * Format::kBytes;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t at = first + i;
      const Factors factors =
          Format::read(blocks + at / kGroups * Format::kBytes, static_cast<int>(at % kGroups), q + i * Format::kGroup);
      scales[i] = factors.scale;
      offsets[i] = factors.offset;
    }
  }

 private:
  Bytes data_;
  int64_t blocks_;  // of a row
};

}  // namespace

std::unique_ptr<const Quantised> quantised_view(GgmlType type, const std::byte* data, int64_t k) {
  switch (type) {
    case GgmlType::Q4_0:
      return std::make_unique<View<Q4_0>>(data, k);
    case GgmlType::Q4_1:
      return std::make_unique<View<Q4_1>>(data, k);
    case GgmlType::Q5_0:
      return std::make_unique<View<Q5_0>>(data, k);
    case GgmlType::Q5_1:
      return std::make_unique<View<Q5_1>>(data, k);
    case GgmlType::Q8_0:
      return std::make_unique<View<Q8_0>>(data, k);
    case GgmlType::Q2_K:
      return std::make_unique<View<Q2_K>>(data, k);
    case GgmlType::Q3_K:
      return std::make_unique<View<Q3_K>>(data, k);
    case GgmlType::Q4_K:
      return std::make_unique<View<Q4_K>>(data, k);
    case GgmlType::Q5_K:
      return std::make_unique<View<Q5_K>>(data, k);
    case GgmlType::Q6_K:
      return std::make_unique<View<Q6_K>>(data, k);
    default:
      return nullptr;
  }
}

}  // namespace gattling
