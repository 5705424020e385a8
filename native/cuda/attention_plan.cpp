#include "cuda/attention_plan.h"

#include <algorithm>
#include <cassert>
#include <climits>
#include <numeric>

#include "backend/error.h"

namespace gattling::cuda {
namespace {

// Between cuts in the deterministic mode: a few steps, so that one long sequence fills a device (8 KV heads of 4,096
// keys make 128 parts), and many, so that writing and reading a part (8 bytes an element) is little beside its keys.
constexpr int kFixedPart = 256;
// The least that is worth a block of its own: its start costs about as long as two steps.
constexpr int kLeastPart = 128;
// Parts that a step's load is cut into, for each block of the grid. Two even out what the last wave leaves idle.
constexpr int kPartsPerBlock = 2;

constexpr AttentionTile kTiles[2] = {AttentionTile::Decode, AttentionTile::Prefill};

int down_to(int x, int multiple) {
  return x / multiple * multiple;
}

int ceil_div(int x, int y) {
  return (x + y - 1) / y;
}

size_t aligned(size_t bytes) {
  return (bytes + 255) / 256 * 256;
}

// CUDA C++ Programming Guide, table of technical specifications by compute capability.
size_t shared_memory_of(int capability) {
  if (capability == 80 || capability == 87) return size_t{164} << 10;
  return (capability < 90 || capability >= 120 ? size_t{100} : size_t{228}) << 10;
}

// The system takes 1 KiB of a block's.
int blocks_per_processor(AttentionTile tile, int dim, int capability) {
  const int fits = static_cast<int>(shared_memory_of(capability) / (attention_shared_bytes(tile, dim) + 1024));
  return std::clamp(fits, 1, attention_blocks(tile, dim));
}

}  // namespace

AttentionPlan::AttentionPlan(const StateShape& shape, const DeviceInfo& device, bool deterministic)
    : deterministic_(deterministic),
      group_(shape.n_heads / std::max(1, shape.n_kv_heads)),
      n_kv_heads_(shape.n_kv_heads),
      window_(shape.sliding_window),
      dim_(attention_dim(shape.head_dim)) {
  check(shape.head_dim >= 8 && shape.head_dim <= kMaxHeadDim && shape.head_dim % 8 == 0,
        "Device cuda takes heads of 8 to ", kMaxHeadDim, " elements in multiples of 8, not of ", shape.head_dim, ".");
  check(n_kv_heads_ > 0 && group_ >= 1 && group_ <= kMaxGroup && shape.n_heads % n_kv_heads_ == 0,
        "Device cuda takes 1 to ", kMaxGroup, " query heads to each KV head, not ", shape.n_heads, " to ",
        shape.n_kv_heads, ".");
  check(shape.block_size >= 16 && shape.block_size <= 128 && shape.block_size % 16 == 0,
        "Device cuda takes cache blocks of 16 to 128 tokens in multiples of 16, not of ", shape.block_size, ".");
  for (AttentionTile tile : kTiles) limits_[static_cast<size_t>(tile)] = limits(tile, shape, device);
  tiles_.reserve(static_cast<size_t>(limits_[0].max_tiles + limits_[1].max_tiles));
}

// Cutting a load into n parts makes n more items than tiles at most, and those of tiles that are cut are less than 2 n.
// Fixed parts are cut while there is room for their results.
AttentionPlan::Limits AttentionPlan::limits(AttentionTile tile, const StateShape& shape,
                                            const DeviceInfo& device) const {
  const int n_blocks = device.n_processors * blocks_per_processor(tile, dim_, device.capability);
  const int queries = attention_queries(tile, dim_);
  const int n_parts = kPartsPerBlock * n_blocks / n_kv_heads_ + 1;
  int max_tiles = shape.n_slots;
  if (tile == AttentionTile::Prefill) max_tiles += static_cast<int>(int64_t{shape.max_rows} * group_ / queries);
  const int max_partials = 2 * n_parts * n_kv_heads_ * queries;
  return {n_blocks, max_tiles, max_tiles + (deterministic_ ? max_partials / n_kv_heads_ : n_parts), max_partials};
}

size_t AttentionPlan::work_bytes() const {
  return sizeof(AttentionWork) +
         static_cast<size_t>(limits_[0].max_items + limits_[1].max_items) * sizeof(AttentionItem);
}

std::array<size_t, 4> AttentionPlan::space_parts(AttentionTile tile) const {
  const Limits& limits = limits_of(tile);
  const size_t n_partials = static_cast<size_t>(limits.max_partials), dim = static_cast<size_t>(dim_);
  const size_t n_totals = static_cast<size_t>(limits.n_blocks) * static_cast<size_t>(attention_totals(tile, dim_));
  return {aligned(n_partials * dim * sizeof(float)), aligned(n_partials * 2 * sizeof(float)),
          aligned(static_cast<size_t>(limits.max_tiles) * static_cast<size_t>(n_kv_heads_) * sizeof(uint32_t)),
          aligned(n_totals * sizeof(float))};
}

size_t AttentionPlan::space_bytes(AttentionTile tile) const {
  const std::array<size_t, 4> parts = space_parts(tile);
  return std::accumulate(parts.begin(), parts.end(), size_t{0});
}

size_t AttentionPlan::space_bytes() const {
  return space_bytes(AttentionTile::Decode) + space_bytes(AttentionTile::Prefill);
}

AttentionSpace AttentionPlan::space(AttentionTile tile, void* memory) const {
  auto* sums = static_cast<std::byte*>(memory);
  if (tile == AttentionTile::Prefill) sums += space_bytes(AttentionTile::Decode);
  const std::array<size_t, 4> parts = space_parts(tile);
  std::byte* const ends = sums + parts[0];
  std::byte* const counters = ends + parts[1];
  std::byte* const totals = counters + parts[2];
  return {limits_of(tile).n_blocks, reinterpret_cast<float*>(sums), reinterpret_cast<float*>(ends),
          reinterpret_cast<uint32_t*>(counters), reinterpret_cast<float*>(totals)};
}

AttentionTile AttentionPlan::kind_of(const Slice& slice) const {
  const bool fits = int64_t{slice.count} * group_ <= attention_queries(AttentionTile::Decode, dim_);
  return fits ? AttentionTile::Decode : AttentionTile::Prefill;
}

void AttentionPlan::add_tiles(const Slice& slice, int row, AttentionTile tile) {
  const int most = attention_queries(tile, dim_), n_queries = slice.count * group_;
  for (int first = 0; first < n_queries; first += most) {
    AttentionItem item{};
    item.slot = slice.slot;
    item.row = row;
    item.position = slice.start;
    item.first_query = first;
    item.n_queries = std::min(most, n_queries - first);
    if (window_ > 0) item.first_key = std::max(0, slice.start + first / group_ - window_ + 1);
    item.end_key = slice.start + (first + item.n_queries - 1) / group_ + 1;
    tiles_.push_back({item, item.first_key, item.end_key, 1});
  }
}

// Says where to cut each tile; whether there is room for it is seen to later.
void AttentionPlan::cut_tiles(const Limits& limits) {
  const int step = attention_keys(dim_);
  int64_t load = 0;
  for (Cut& tile : tiles_) {
    tile.base = down_to(tile.item.first_key, deterministic_ ? kFixedPart : step);
    load += int64_t{tile.item.end_key - tile.base} * n_kv_heads_;
  }
  const int share = static_cast<int>(load / (kPartsPerBlock * limits.n_blocks)) + 1;
  const int target = std::max(kLeastPart, ceil_div(share, step) * step);
  for (Cut& tile : tiles_) {
    const int length = tile.item.end_key - tile.base;
    tile.part = length;
    if (length <= target) continue;
    tile.part = deterministic_ ? kFixedPart : ceil_div(ceil_div(length, ceil_div(length, target)), step) * step;
    tile.n_parts = ceil_div(length, tile.part);
  }
  // The longest first, so that the last wave's are short.
  std::stable_sort(tiles_.begin(), tiles_.end(), [](const Cut& a, const Cut& b) { return a.part > b.part; });
}

int AttentionPlan::emit(const Limits& limits, AttentionItem* items) const {
  int n_items = 0, n_partials = 0, n_counters = 0;
  int n_left = static_cast<int>(tiles_.size());
  for (const Cut& tile : tiles_) {
    --n_left;
    AttentionItem item = tile.item;
    const int64_t partials = int64_t{tile.n_parts} * n_kv_heads_ * item.n_queries;
    const bool fits =
        n_partials + partials <= limits.max_partials && n_items + tile.n_parts + n_left <= limits.max_items;
    item.n_splits = fits ? tile.n_parts : 1;
    if (item.n_splits == 1) {
      items[n_items++] = item;
      continue;
    }
    item.partial = n_partials;
    item.counter = n_counters;
    n_partials += static_cast<int>(partials);
    n_counters += n_kv_heads_;
    for (item.split = 0; item.split < item.n_splits; ++item.split) {
      const int from = tile.base + item.split * tile.part;
      item.first_key = std::max(tile.item.first_key, from);
      item.end_key = std::min(tile.item.end_key, from + tile.part);
      items[n_items++] = item;
    }
  }
  assert(n_items <= limits.max_items);
  return n_items;
}

AttentionPlan::Made AttentionPlan::make(std::span<const Slice> slices, void* work) {
  auto* header = static_cast<AttentionWork*>(work);
  auto* items = reinterpret_cast<AttentionItem*>(header + 1);
  *header = {{0, 0}, deterministic_ ? kFixedPart : INT_MAX, 0};
  for (AttentionTile kind : kTiles) {
    tiles_.clear();
    int row = 0;
    for (const Slice& slice : slices) {
      if (kind_of(slice) == kind) add_tiles(slice, row, kind);
      row += slice.count;
    }
    assert(static_cast<int>(tiles_.size()) <= limits_of(kind).max_tiles);
    cut_tiles(limits_of(kind));
    const int n_items = emit(limits_of(kind), items);
    header->n_items[static_cast<size_t>(kind)] = n_items;
    items += n_items;
  }
  const auto bytes = reinterpret_cast<std::byte*>(items) - static_cast<std::byte*>(work);
  return {static_cast<size_t>(bytes), header->n_items[0] > 0, header->n_items[1] > 0};
}

}  // namespace gattling::cuda
