// Which tiles attention makes of a step, and where their keys are cut, so that every processor of the device is busy
// for about as long.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "cuda/kernels/attention.h"

namespace gattling::cuda {

// Deterministic: keys are cut at multiples of 256, whatever else is in the step; a tile that one block walks alone
// merges at the same borders. Otherwise keys are cut where it balances the step's load.
class AttentionPlan {
 public:
  // Throws Error on heads that the kernels do not take.
  AttentionPlan(const StateShape& shape, const DeviceInfo& device, bool deterministic);

  // Of a step's list at most.
  size_t work_bytes() const;
  // Of device memory, on a multiple of 256 and zeros before the first launch.
  size_t space_bytes() const;
  AttentionSpace space(AttentionTile tile, void* memory) const;

  struct Made {
    size_t bytes;  // of work, from its beginning
    bool decode;   // whether that kernel has anything to do
    bool prefill;
  };
  // Writes a step's list, an AttentionWork and its items, to `work` [work_bytes()], 16-byte aligned. Slices stand in
  // row order, one a slot at most.
  Made make(std::span<const Slice> slices, void* work);

 private:
  // What a kernel may use.
  struct Limits {
    int n_blocks;
    int max_tiles;
    int max_items;
    int max_partials;
  };
  // A tile, whose keys are cut at base + i * part.
  struct Cut {
    AttentionItem item;
    int base;
    int part;
    int n_parts;
  };

  Limits limits(AttentionTile tile, const StateShape& shape, const DeviceInfo& device) const;
  const Limits& limits_of(AttentionTile tile) const { return limits_[static_cast<size_t>(tile)]; }
  // Bytes of sums, ends, counters and totals.
  std::array<size_t, 4> space_parts(AttentionTile tile) const;
  size_t space_bytes(AttentionTile tile) const;
  AttentionTile kind_of(const Slice& slice) const;
  void add_tiles(const Slice& slice, int row, AttentionTile tile);
  void cut_tiles(const Limits& limits);
  int emit(const Limits& limits, AttentionItem* items) const;

  bool deterministic_;
  int group_;
  int n_kv_heads_;
  int window_;
  int dim_;  // that the kernels are compiled for
  Limits limits_[2];
  std::vector<Cut> tiles_;  // of one kernel
};

}  // namespace gattling::cuda
