// Weights as the kernels read them.
//
// A linear weight [n, k] lies in tiles of 16 outputs, k padded with zeros to a multiple of 32 and n to one of 16. In
// bf16 a tile is [k / 2][16][2]: pairs of k for 16 outputs make one 64-byte line, which is also the order that AMX's
// TDPBF16PS wants. In f16 and f32 it is [k][16].
#pragma once

#include <span>
#include <vector>

#include "backend/backend.h"
#include "cpu/memory.h"
#include "cpu/thread_pool.h"

namespace gattling::cpu {

constexpr int64_t kTileOutputs = 16;
constexpr int64_t kTileDepth = 32;

struct CpuWeight final : Weight {
  enum class Layout : uint8_t { Rows, Tiles };

  Use use;
  Layout layout;
  DType dtype;
  int64_t n;  // outputs, or rows of the table
  int64_t k;
  Memory data;
  std::vector<float> bias;  // [n] or empty

  int64_t n_tiles() const { return (n + kTileOutputs - 1) / kTileOutputs; }
  int64_t tile_size() const { return (k + kTileDepth - 1) / kTileDepth * kTileDepth * kTileOutputs; }
  size_t bytes() const override { return data.bytes() + bias.size() * sizeof(float); }
};

// One rank's part, stored as `compute` wants it (BackendOptions). Throws Error on parts that do not belong together.
std::unique_ptr<CpuWeight> pack_weight(Use use, std::span<const HostTensor> parts, Shard shard, DType compute,
                                       ThreadPool& pool);

// Row `row` of a table, or of a linear weight, in fp32.
void read_row(const CpuWeight& weight, int64_t row, float* out);

}  // namespace gattling::cpu
