// Weights as the kernels read them: sections of outputs below each other, because parts of a fused weight may be
// quantised each in its own way.
//
// Tiles: a linear weight [n, k] lies in tiles of 16 outputs, k padded with zeros to a multiple of 32 and n to one
// of 16. In bf16 a tile is [k / 2][16][2]: pairs of k for 16 outputs make one 64-byte line, which is also the order
// that AMX's TDPBF16PS wants. In f16 and f32 it is [k][16].
//
// Ints (backend/quantised.h), in the same tiles: first the integers, q + 128 in bytes [k / 4][16][4], or q + 8 in
// nibbles [k / 8][16][4], the low nibbles for the first four columns and the high ones for the next four; then the
// scales [groups][16]; then the offsets, if there are any. A line of bytes is what VNNI's VPDPBUSD takes as its
// unsigned operand, and 16 of them make a tile of AMX's TDPBSUD.
#pragma once

#include <span>
#include <vector>

#include "backend/backend.h"
#include "cpu/memory.h"
#include "cpu/thread_pool.h"

namespace gattling::cpu {

constexpr int64_t kTileOutputs = 16;
constexpr int64_t kTileDepth = 32;

// The integers of a section, and where things lie in a tile.
struct IntForm {
  int bits = 8;                     // or 4
  int64_t group = 32;               // columns; depth() for one group a row
  bool has_offsets = false;         //
  DType scale_type = DType::F16;    // F16 where that loses nothing, else F32
  DType offset_type = DType::F16;   //
  std::vector<int32_t> order = {};  // column c is for input order[c]; empty: c
  int64_t tile_bytes = 0;           // from one tile to the next, a multiple of 64
  int64_t scales_at = 0;            // bytes from a tile's start
  int64_t offsets_at = 0;           //

  int zero() const { return bits == 8 ? 128 : 8; }           // stored for q = 0
  int step() const { return group < kTileDepth ? 16 : 32; }  // columns of one scale of activations
};

// Outputs [first, first + n) of a weight.
struct Section {
  enum class Layout : uint8_t { Rows, Tiles, Ints };

  Layout layout = Layout::Rows;
  DType dtype = DType::F32;  // of Rows and Tiles
  int64_t first = 0;
  int64_t n = 0;
  int64_t k = 0;
  Memory data;
  IntForm ints;      // of Ints
  size_t input = 0;  // the first section that takes x in the same integers

  int64_t n_tiles() const { return (n + kTileOutputs - 1) / kTileOutputs; }
  int64_t depth() const { return (k + kTileDepth - 1) / kTileDepth * kTileDepth; }
  int64_t tile_size() const { return depth() * kTileOutputs; }  // elements
};

struct CpuWeight final : Weight {
  Use use;
  int64_t n;  // outputs, or rows of the table
  int64_t k;
  std::vector<Section> sections;
  std::vector<float> bias;  // [n] or empty

  size_t bytes() const override;
};

// One rank's part, stored as `compute` wants it (BackendOptions); what is quantised stays so. Throws Error on parts
// that do not belong together.
std::unique_ptr<CpuWeight> pack_weight(Use use, std::span<const HostTensor> parts, Shard shard, DType compute,
                                       ThreadPool& pool);

// Row `row` of a table, or of a linear weight, in fp32.
void read_row(const CpuWeight& weight, int64_t row, float* out);

}  // namespace gattling::cpu
