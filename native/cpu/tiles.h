// Tile registers: eight of up to 16 rows of 64 bytes, and the product of tiles of bf16 (Intel SDM: AMX, vol. 1 ch. 18;
// TDPBF16PS, vol. 2). With GATTLING_AMX they are the processor's, else plain code that gives the same bits. Included by
// the kernels of one unit inside its own namespace. The assembler's names are used because the compilers' own calls
// take numbers of registers as text, which no template can give them.
#pragma once

struct alignas(64) TileShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};  // of tile i; the last eight are reserved
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileShapes) == 64);

#if defined(GATTLING_AMX)

// Also clears the tiles.
INLINE void shape_tiles(const TileShapes& shapes) {
  asm volatile("ldtilecfg %0" : : "m"(shapes) : "memory");
}
INLINE void release_tiles() {
  asm volatile("tilerelease" : : : "memory");
}
template <int T>
INLINE void zero_tile() {
  asm volatile("tilezero %%tmm%c0" : : "i"(T));
}
template <int T>
INLINE void load_tile(const void* rows, int64_t stride_bytes) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(rows), "r"(stride_bytes), "i"(T) : "memory");
}
template <int T>
INLINE void store_tile(void* rows, int64_t stride_bytes) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(rows), "r"(stride_bytes), "i"(T) : "memory");
}
// C [rows][outputs] fp32 += A [rows][pairs][2] * B [pairs][outputs][2]
template <int C, int A, int B>
INLINE void multiply_tiles() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B));
}

#else

struct Tiles {
  TileShapes shapes;
  std::byte bytes[8][16][64];
};
static thread_local Tiles tiles;

INLINE void shape_tiles(const TileShapes& shapes) {
  tiles.shapes = shapes;
  std::memset(tiles.bytes, 0, sizeof tiles.bytes);
}
INLINE void release_tiles() {
  tiles.shapes = {};
}
template <int T>
INLINE void zero_tile() {
  std::memset(tiles.bytes[T], 0, sizeof tiles.bytes[T]);
}
template <int T>
INLINE void load_tile(const void* rows, int64_t stride_bytes) {
  zero_tile<T>();
  for (int row = 0; row < tiles.shapes.rows[T]; ++row)
    std::memcpy(tiles.bytes[T][row], static_cast<const std::byte*>(rows) + row * stride_bytes,
                tiles.shapes.row_bytes[T]);
}
template <int T>
INLINE void store_tile(void* rows, int64_t stride_bytes) {
  for (int row = 0; row < tiles.shapes.rows[T]; ++row)
    std::memcpy(static_cast<std::byte*>(rows) + row * stride_bytes, tiles.bytes[T][row], tiles.shapes.row_bytes[T]);
}
// A subnormal number counts as 0. The processor looks before it rounds to so small an exponent, this after: they differ
// for results less than 2^-150 below 2^-126.
INLINE float flush(float x) {
  return __builtin_fabsf(x) < 0x1p-126f ? __builtin_copysignf(0, x) : x;
}
INLINE float number_of(const std::byte* p) {
  bf16 half;
  std::memcpy(&half, p, sizeof half);
  return flush(widen(half));
}
// For each element two chains of fma, over even and over odd columns, are added to each other and then to C.
template <int C, int A, int B>
INLINE void multiply_tiles() {
  for (int m = 0; m < tiles.shapes.rows[C]; ++m) {
    for (int n = 0; n < tiles.shapes.row_bytes[C] / 4; ++n) {
      float chain[2] = {0, 0};
      for (int pair = 0; pair < tiles.shapes.rows[B]; ++pair)
        for (int i = 0; i < 2; ++i)
          chain[i] = flush(__builtin_fmaf(number_of(&tiles.bytes[A][m][pair * 4 + i * 2]),
                                          number_of(&tiles.bytes[B][pair][n * 4 + i * 2]), chain[i]));
      float sum;
      std::memcpy(&sum, &tiles.bytes[C][m][n * 4], sizeof sum);
      sum = flush(flush(sum) + flush(chain[0] + chain[1]));
      std::memcpy(&tiles.bytes[C][m][n * 4], &sum, sizeof sum);
    }
  }
}

#endif
