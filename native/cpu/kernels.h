// The loops that are compiled once for each instruction set, and the tasks they take. All numbers are fp32 unless a
// dtype says otherwise; a task's result for a row depends on that row only, never on how many rows it has.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/half.h"
#include "backend/tensor.h"

namespace gattling::cpu {

// out[rows, n] = x[rows, k] * weight^T (+ bias), weight in tiles of 16 outputs (pack.h).
struct LinearTask {
  const float* x;
  float* out;
  const void* tiles;
  const float* bias;  // [n] or null
  int64_t n;
  int64_t k;
  int64_t out_stride;  // floats from a row to the next; n unless a weight has several sections
  int64_t tile_size;   // elements from one tile to the next
  DType dtype;
  const bf16* halves;  // [rows][k, padded]: x as Kernels::halve makes it, for linear_halves
};

// `step` columns of a row of activations as integers in [-127, 127]: x = scale * q. A NaN or an infinity makes the
// scale a NaN, and with it every output of the row.
struct IntBlock {
  float scale;
  int32_t correction;  // -zero * (sum of q): takes back what the zero of stored weights adds
};

// out[rows, n] = x[rows, k] * weight^T (+ bias), weight as Ints (pack.h), x as integers. Within a step sums are of
// integers and exact; steps are added in fp32 in ascending order.
struct IntLinearTask {
  const void* x;           // [rows][depth] q, in items of Kernels::int_size bytes
  const IntBlock* blocks;  // [rows][depth / step]
  float* out;
  const std::byte* tiles;
  const float* bias;  // [n] or null
  int64_t n;
  int64_t depth;       // k, padded
  int64_t out_stride;  // floats from a row to the next
  int64_t tile_bytes;  // from one tile to the next
  int64_t scales_at;   // bytes from a tile's start
  int64_t offsets_at;  // or -1
  int64_t group;       // columns, whole steps
  int step;            // columns: 16 or 32
  int bits;
  DType scale_type;
  DType offset_type;
};

// A row of activations to integers.
struct QuantiseTask {
  const float* x;
  const int32_t* order;  // q [c] is of x [order[c]]; null: of x [c]
  int64_t k;
  int64_t depth;
  int step;
  int zero;          // stored for a weight of 0
  void* q;           // [depth]
  IntBlock* blocks;  // [depth / step]
};

// Attention of one KV head's query heads for consecutive rows of a sequence.
struct AttendTask {
  const float* q;    // first row's first query head, [n_rows, .., group, head_dim]
  float* out;        // likewise
  int64_t q_stride;  // floats from a row to the next
  int64_t out_stride;
  int n_rows;
  int position;  // of the first row
  int group;     // query heads of this KV head
  int head_dim;
  int window;  // 0: all
  int block_size;
  DType dtype;             // of the cache
  const std::byte* cache;  // block 0 of this KV head: K [block_size / 16][head_dim][16], V [block_size][head_dim]
  int64_t block_stride;    // bytes from a block to the next
  int64_t v_offset;        // bytes from a block's K to its V
  int64_t scales_offset;   // of int8, bytes from a block's K to its scales [2][block_size], K's and V's
  const int32_t* block_table;
  float* scratch;  // attend_scratch() floats
};

constexpr int kAttendQueries = 32;  // of a task, unless one row has more

// Floats of scratch: scaled q, unnormalised output, scores, running sums of 16 lanes, maximum and rescale per query.
constexpr int64_t attend_scratch(int n_queries, int head_dim) {
  return int64_t{n_queries} * (head_dim + (head_dim + 15) / 16 * 16 + 16 + 16 + 2);
}

struct Peak {
  float max;
  bool finite;  // all of them
};

struct Kernels {
  const char* unit;
  // Rows [first_row, end_row) of tiles [first_tile, end_tile).
  void (*linear)(const LinearTask& task, int64_t first_tile, int64_t end_tile, int64_t first_row, int64_t end_row);
  void (*linear_ints)(const IntLinearTask& task, int64_t first_tile, int64_t end_tile, int64_t first_row,
                      int64_t end_row);
  // The same as linear where both factors are bf16, with sums in fp32, and what makes x so. Null where a unit gains
  // nothing by it.
  void (*linear_halves)(const LinearTask& task, int64_t first_tile, int64_t end_tile, int64_t first_row,
                        int64_t end_row);
  void (*halve)(const float* x, int64_t k, int64_t depth, bf16* out);
  void (*quantise)(const QuantiseTask& task);
  size_t int_size;  // bytes of one of its integers: a byte, or an fp32 of that value
  void (*attend)(const AttendTask& task);
  void (*rmsnorm)(float* residual, const float* delta, const float* scale, float eps, float* out, int64_t n);
  void (*swiglu)(const float* gate, const float* up, float* out, int64_t n);

  // Passes over a vocabulary.
  Peak (*peak)(const float* x, int n);
  double (*sum_exp)(const float* x, int n, float max);                              // sum of e^(x - max)
  void (*temper)(const float* x, int n, float max, float temperature, float* out);  // (x - max) / temperature
  void (*block_max)(const float* x, int n, float* out);                             // of each kVocabBlock
  int (*select)(const float* x, int n, float least, int32_t* ids);  // ascending ids of x >= least, returns their count
  // philox(seed, position, first + i) for i in [0, kVocabBlock)
  void (*random)(uint64_t seed, uint32_t position, uint32_t first, uint32_t* out);
};

constexpr int kVocabBlock = 64;

const Kernels& kernels_plain();
const Kernels& kernels_amx_twin();
#ifdef GATTLING_X86
const Kernels& kernels_avx2();
const Kernels& kernels_avx512();
const Kernels& kernels_avx512vnni();
const Kernels& kernels_amx();
#endif
#ifdef GATTLING_ARM
const Kernels& kernels_neon();
#endif

}  // namespace gattling::cpu
