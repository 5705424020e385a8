// Weights in bf16 times activations in bf16. One output element is, for ascending blocks of 32 columns, acc += even + odd,
// where even and odd are chains of fma from 0 over the block's even and odd columns, and subnormal numbers count as 0,
// whatever block of rows and tiles it is computed in: with tile registers, or for few rows in vectors.

#include "cpu/tiles.h"

constexpr int kBlockRows = 16;       // of a tile register
constexpr int kBlockColumns = 32;    // likewise
constexpr int64_t kPanel = 512;      // columns: 512 rows of them stay in the second-level cache,
constexpr int64_t kPanelTiles = 16;  // beside the sums of as many tiles of outputs

static void halve(const float* x, int64_t k, int64_t depth, bf16* out) {
  for (int64_t i = 0; i < k; ++i) narrow(x[i], out[i]);
  for (int64_t i = k; i < depth; ++i) out[i] = bf16{};
}

// At most 32 rows and 2 tiles of outputs.
struct TileBlock {
  int64_t row;
  int64_t tile;
  int rows;
  int outputs;  // of both tiles
};

INLINE int at_most(int64_t n, int most) {
  return n < most ? static_cast<int>(n) : most;
}

// Registers 0 to 3: sums of rows [16 R, + 16) and outputs [16 T, + 16) at 2 R + T. 4 and 5: activations. 6 and 7: weights.
INLINE TileShapes shapes_of(const TileBlock& block) {
  TileShapes shapes;
  for (int i = 0; i < 2; ++i) {
    const int rows = at_most(block.rows - i * kBlockRows, kBlockRows);
    const int outputs = at_most(block.outputs - i * kLanes, kLanes);
    if (rows > 0) {
      shapes.rows[4 + i] = static_cast<uint8_t>(rows);
      shapes.row_bytes[4 + i] = kBlockColumns * sizeof(bf16);
    }
    if (outputs > 0) {
      shapes.rows[6 + i] = kBlockColumns / 2;
      shapes.row_bytes[6 + i] = static_cast<uint16_t>(outputs * 2 * sizeof(bf16));
    }
    for (int t = 0; t < 2 && rows > 0; ++t) {
      const int wide = at_most(block.outputs - t * kLanes, kLanes);
      if (wide <= 0) continue;
      shapes.rows[2 * i + t] = static_cast<uint8_t>(rows);
      shapes.row_bytes[2 * i + t] = static_cast<uint16_t>(wide * sizeof(float));
    }
  }
  return shapes;
}

// Columns [from, to) of R x T registers' worth.
template <int R, int T>
static void tile_block(const LinearTask& task, const TileBlock& block, int64_t from, int64_t to) {
  const int64_t depth = task.tile_size / kLanes, x_stride = depth * int64_t{sizeof(bf16)};
  const int64_t out_bytes = task.out_stride * int64_t{sizeof(float)};
  const bf16* x = task.halves + block.row * depth;
  const bf16* w = static_cast<const bf16*>(task.tiles) + block.tile * task.tile_size;
  float* out = task.out + block.row * task.out_stride + block.tile * kLanes;
  float* below = out + kBlockRows * task.out_stride;
  if (from == 0) {
    zero_tile<0>();
    if constexpr (T == 2) zero_tile<1>();
    if constexpr (R == 2) zero_tile<2>();
    if constexpr (R == 2 && T == 2) zero_tile<3>();
  } else {
    load_tile<0>(out, out_bytes);
    if constexpr (T == 2) load_tile<1>(out + kLanes, out_bytes);
    if constexpr (R == 2) load_tile<2>(below, out_bytes);
    if constexpr (R == 2 && T == 2) load_tile<3>(below + kLanes, out_bytes);
  }
  for (int64_t k = from; k < to; k += kBlockColumns) {
    load_tile<4>(x + k, x_stride);
    load_tile<6>(w + k * kLanes, kLanes * 2 * sizeof(bf16));
    multiply_tiles<0, 4, 6>();
    if constexpr (T == 2) {
      load_tile<7>(w + task.tile_size + k * kLanes, kLanes * 2 * sizeof(bf16));
      multiply_tiles<1, 4, 7>();
    }
    if constexpr (R == 2) {
      load_tile<5>(x + kBlockRows * depth + k, x_stride);
      multiply_tiles<2, 5, 6>();
      if constexpr (T == 2) multiply_tiles<3, 5, 7>();
    }
  }
  store_tile<0>(out, out_bytes);
  if constexpr (T == 2) store_tile<1>(out + kLanes, out_bytes);
  if constexpr (R == 2) store_tile<2>(below, out_bytes);
  if constexpr (R == 2 && T == 2) store_tile<3>(below + kLanes, out_bytes);
}

INLINE void run_tile_block(const LinearTask& task, const TileBlock& block, int64_t from, int64_t to) {
  if (block.rows > kBlockRows) {
    if (block.outputs > kLanes)
      tile_block<2, 2>(task, block, from, to);
    else
      tile_block<2, 1>(task, block, from, to);
  } else if (block.outputs > kLanes) {
    tile_block<1, 2>(task, block, from, to);
  } else {
    tile_block<1, 1>(task, block, from, to);
  }
}

static void linear_in_tiles(const LinearTask& task, int64_t first_tile, int64_t end_tile, int64_t first_row,
                            int64_t end_row) {
  const int64_t depth = task.tile_size / kLanes;
  int rows = 0, outputs = 0;  // that the registers are shaped for
  for (int64_t group = first_tile; group < end_tile; group += kPanelTiles) {
    const int64_t end = group + kPanelTiles < end_tile ? group + kPanelTiles : end_tile;
    for (int64_t from = 0; from < depth; from += kPanel) {
      const int64_t to = from + kPanel < depth ? from + kPanel : depth;
      for (int64_t tile = group; tile < end; tile += 2) {
        const int64_t end_output = end * kLanes < task.n ? end * kLanes : task.n;
        for (int64_t row = first_row; row < end_row; row += 2 * kBlockRows) {
          const TileBlock block = {row, tile, at_most(end_row - row, 2 * kBlockRows),
                                   at_most(end_output - tile * kLanes, 2 * kLanes)};
          if (block.rows != rows || block.outputs != outputs) shape_tiles(shapes_of(block));
          rows = block.rows;
          outputs = block.outputs;
          run_tile_block(task, block, from, to);
        }
      }
    }
  }
  release_tiles();
}

#if defined(GATTLING_AVX512)

// As many as vectors hold the sums of, for two tiles. Tile registers stream weights no faster, and cost to shape.
constexpr int kVectorRows = 4;

INLINE void broadcast_pair(const bf16* p, V& even, V& odd) {
  int32_t pair;
  std::memcpy(&pair, p, sizeof pair);
  const __m512i bits = _mm512_set1_epi32(pair);
  even = {_mm512_castsi512_ps(_mm512_slli_epi32(bits, 16))};
  odd = {_mm512_castsi512_ps(_mm512_and_si512(bits, _mm512_set1_epi32(static_cast<int>(0xffff0000u))))};
}

// M rows times T tiles.
template <int M, int T>
static void vector_block(const LinearTask& task, int64_t tile, int64_t row) {
  const int64_t depth = task.tile_size / kLanes;
  const bf16* w = static_cast<const bf16*>(task.tiles) + tile * task.tile_size;
  const bf16* x = task.halves + row * depth;
  V acc[M][T];
  for (int m = 0; m < M; ++m)
    for (int t = 0; t < T; ++t) acc[m][t] = broadcast(0);
  for (int64_t k = 0; k < depth; k += kBlockColumns) {
    V even[M][T], odd[M][T];
    for (int m = 0; m < M; ++m)
      for (int t = 0; t < T; ++t) even[m][t] = odd[m][t] = broadcast(0);
    for (int64_t i = k; i < k + kBlockColumns; i += 2) {
      V we[T], wo[T];
      for (int t = 0; t < T; ++t) load_pair(w + t * task.tile_size + i * kLanes, we[t], wo[t]);
      for (int m = 0; m < M; ++m) {
        V xe, xo;
        broadcast_pair(x + m * depth + i, xe, xo);
        for (int t = 0; t < T; ++t) {
          even[m][t] = fma(xe, we[t], even[m][t]);
          odd[m][t] = fma(xo, wo[t], odd[m][t]);
        }
      }
    }
    for (int m = 0; m < M; ++m)
      for (int t = 0; t < T; ++t) acc[m][t] = add(acc[m][t], add(even[m][t], odd[m][t]));
  }
  for (int t = 0; t < T; ++t) {
    const int64_t output = (tile + t) * kLanes;
    const int lanes = at_most(task.n - output, kLanes);
    for (int m = 0; m < M; ++m) store_n(task.out + (row + m) * task.out_stride + output, acc[m][t], lanes);
  }
}

static void linear_in_vectors(const LinearTask& task, int64_t first_tile, int64_t end_tile, int64_t first_row,
                              int n_rows) {
  constexpr unsigned kFlush = 0x8040;  // subnormal results and operands count as 0
  const unsigned state = _mm_getcsr();
  _mm_setcsr(state | kFlush);
  with_constant<kVectorRows>(n_rows, [&](auto rows) {
    constexpr int M = decltype(rows)::value;
    constexpr int T = M == 1 ? 4 : 2;
    int64_t tile = first_tile;
    for (; tile + T <= end_tile; tile += T) vector_block<M, T>(task, tile, first_row);
    for (; tile < end_tile; ++tile) vector_block<M, 1>(task, tile, first_row);
  });
  _mm_setcsr(state);
}

#endif

static void linear_halves(const LinearTask& task, int64_t first_tile, int64_t end_tile, int64_t first_row,
                          int64_t end_row) {
#if defined(GATTLING_AVX512)
  if (end_row - first_row <= kVectorRows)
    linear_in_vectors(task, first_tile, end_tile, first_row, static_cast<int>(end_row - first_row));
  else
#endif
    linear_in_tiles(task, first_tile, end_tile, first_row, end_row);
  const int64_t end_output = end_tile * kLanes < task.n ? end_tile * kLanes : task.n;
  for (int64_t row = first_row; row < end_row && task.bias; ++row) {
    float* out = task.out + row * task.out_stride;
    for (int64_t output = first_tile * kLanes; output < end_output; ++output) out[output] += task.bias[output];
  }
}
