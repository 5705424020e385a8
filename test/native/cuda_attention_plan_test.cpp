// The work lists of attention: every query meets every key that it sees once, within the memory that was promised.
#include <map>
#include <memory>

#include "cuda/attention_plan.h"
#include "test.h"

using namespace gattling;
using namespace gattling::cuda;

namespace {

StateShape state(int n_heads, int n_kv_heads, int head_dim, int window = 0) {
  StateShape shape{};
  shape.n_slots = 24;
  shape.max_rows = 600;
  shape.max_blocks = 4096;
  shape.n_blocks = 8192;
  shape.block_size = 16;
  shape.n_heads = n_heads;
  shape.n_kv_heads = n_kv_heads;
  shape.head_dim = head_dim;
  shape.sliding_window = window;
  return shape;
}

Slice slice(int slot, int start, int count) {
  return {slot, start, count, false, false, -1, 0, 0, Rows::None};
}

struct List {
  explicit List(const StateShape& shape, bool deterministic, int n_processors = 132)
      : shape(shape), plan(shape, {"a device", 90, n_processors, 0}, deterministic) {
    memory.resize(plan.work_bytes() / sizeof(AttentionItem) + 1);
  }

  AttentionPlan::Made make(const std::vector<Slice>& slices) {
    const AttentionPlan::Made made = plan.make(slices, memory.data());
    CHECK(made.bytes <= plan.work_bytes());
    CHECK(made.decode == (work().n_items[0] > 0) && made.prefill == (work().n_items[1] > 0));
    return made;
  }
  const AttentionWork& work() const { return *reinterpret_cast<const AttentionWork*>(memory.data()); }
  std::vector<AttentionItem> items(AttentionTile tile) const {
    const auto* first = reinterpret_cast<const AttentionItem*>(&work() + 1);
    const bool prefill = tile == AttentionTile::Prefill;
    if (prefill) first += work().n_items[0];
    return {first, first + work().n_items[prefill ? 1 : 0]};
  }

  StateShape shape;
  AttentionPlan plan;
  std::vector<AttentionItem> memory;
};

// Each packed query's parts, in order, cover what it sees.
void check_cover(const List& list, const std::vector<Slice>& slices) {
  const int group = list.shape.n_heads / list.shape.n_kv_heads, window = list.shape.sliding_window;
  std::map<std::pair<int, int>, std::vector<AttentionItem>> of_query;  // slot, packed query
  for (AttentionTile tile : {AttentionTile::Decode, AttentionTile::Prefill})
    for (const AttentionItem& item : list.items(tile)) {
      CHECK(item.n_queries > 0 && item.n_queries <= attention_queries(tile, attention_dim(list.shape.head_dim)));
      for (int i = 0; i < item.n_queries; ++i) of_query[{item.slot, item.first_query + i}].push_back(item);
    }
  size_t n_queries = 0;
  int row = 0;
  for (const Slice& s : slices) {
    for (int query = 0; query < s.count * group; ++query) {
      const std::vector<AttentionItem>& parts = of_query.at({s.slot, query});
      const int position = s.start + query / group, first = window > 0 ? std::max(0, position - window + 1) : 0;
      CHECK(parts.front().row == row && parts.front().position == s.start);
      CHECK(static_cast<int>(parts.size()) == parts.front().n_splits);
      CHECK(parts.front().first_key <= first && parts.back().end_key > position);
      for (size_t i = 0; i < parts.size(); ++i) {
        CHECK(parts[i].split == static_cast<int>(i) && parts[i].first_key < parts[i].end_key);
        if (i == 0) continue;
        CHECK(parts[i].first_key == parts[i - 1].end_key);
        CHECK(parts[i].first_key % (list.work().merge_keys < 1 << 20 ? list.work().merge_keys : 32) == 0);
        CHECK(parts[i].partial == parts[0].partial && parts[i].counter == parts[0].counter);
      }
      ++n_queries;
    }
    row += s.count;
  }
  CHECK(of_query.size() == n_queries);
}

// Partial results and counters of different tiles lie apart, within their memory.
void check_space(const List& list) {
  const int n_kv_heads = list.shape.n_kv_heads, dim = attention_dim(list.shape.head_dim);
  const std::unique_ptr<std::byte[]> base(new std::byte[list.plan.space_bytes()]);  // never touched
  for (AttentionTile tile : {AttentionTile::Decode, AttentionTile::Prefill}) {
    const AttentionSpace space = list.plan.space(tile, base.get());
    const int64_t n_partials = (space.ends - space.sums) / dim;
    const int64_t n_counters = reinterpret_cast<uint32_t*>(space.totals) - space.counters;
    std::map<int, int> ends, counters;  // by first
    for (const AttentionItem& item : list.items(tile)) {
      if (item.n_splits == 1) continue;
      ends[item.partial] = item.partial + item.n_splits * n_kv_heads * item.n_queries;
      counters[item.counter] = item.counter + n_kv_heads;
    }
    for (const auto* ranges : {&ends, &counters}) {
      int end = 0;
      for (const auto& [first, last] : *ranges) {
        CHECK(first >= end);
        end = last;
      }
      CHECK(end <= (ranges == &ends ? n_partials : n_counters));
    }
  }
}

}  // namespace

TEST(every_query_meets_every_key_once) {
  uint64_t random = 7;
  const auto below = [&](int n) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    return static_cast<int>((random >> 33) % static_cast<uint64_t>(n));
  };
  for (const StateShape& shape : {state(32, 32, 128), state(32, 8, 64), state(64, 1, 256), state(24, 8, 80, 700)})
    for (bool deterministic : {false, true})
      for (int n_processors : {1, 132}) {
        List list(shape, deterministic, n_processors);
        for (int turn = 0; turn < 12; ++turn) {
          std::vector<Slice> slices;
          const int n = 1 + below(shape.n_slots);
          for (int i = 0, left = shape.max_rows; i < n; ++i) {
            const int count = below(2) ? 1 : std::min(1 + below(90), left - (n - i - 1));
            slices.push_back(slice(i, below(turn % 3 == 0 ? 65'000 : 700), count));
            left -= count;
          }
          list.make(slices);
          check_cover(list, slices);
          check_space(list);
        }
      }
}

TEST(slices_go_to_the_tile_that_they_fit) {
  List list(state(32, 8, 128), false);
  CHECK(list.make({slice(0, 10, 1), slice(1, 0, 4)}).decode);
  CHECK(list.items(AttentionTile::Prefill).empty());
  const AttentionPlan::Made made = list.make({slice(0, 0, 5)});
  CHECK(made.prefill && !made.decode);
  CHECK(list.items(AttentionTile::Prefill).size() == 1);
  CHECK(!list.make({}).decode);
  List wide(state(64, 1, 128), false);
  CHECK(wide.make({slice(0, 10, 1)}).prefill);
}

TEST(a_device_is_filled_and_not_overfilled) {
  List list(state(32, 8, 128), false);
  list.make({slice(0, 4095, 1)});
  const size_t alone = list.items(AttentionTile::Decode).size() * 8;
  CHECK(alone >= 132 && alone <= 132 * 8);
  std::vector<Slice> many;
  for (int i = 0; i < 24; ++i) many.push_back(slice(i, 4095, 1));
  list.make(many);
  CHECK(list.items(AttentionTile::Decode).size() <= 24 * 5);
  many.back() = slice(23, 60'000, 1);  // no block has much more to do than the others
  list.make(many);
  for (const AttentionItem& item : list.items(AttentionTile::Decode)) CHECK(item.end_key - item.first_key < 3000);
}

TEST(fixed_cuts_do_not_depend_on_the_step) {
  List list(state(32, 8, 128), true);
  list.make({slice(0, 1000, 1)});
  CHECK(list.work().merge_keys == 256);
  const std::vector<AttentionItem> items = list.items(AttentionTile::Decode);
  CHECK(items.size() == 4);
  for (size_t i = 0; i < 4; ++i) CHECK(items[i].first_key == static_cast<int>(i) * 256);
}

TEST(shapes_that_kernels_do_not_take) {
  const DeviceInfo device = {"a device", 80, 1, 0};
  THROWS("not of 12.", AttentionPlan(state(4, 4, 12), device, false));
  THROWS("not of 264.", AttentionPlan(state(4, 4, 264), device, false));
  THROWS("not 65 to 1.", AttentionPlan(state(65, 1, 64), device, false));
  THROWS("not 7 to 2.", AttentionPlan(state(7, 2, 64), device, false));
  StateShape shape = state(4, 4, 64);
  shape.block_size = 24;
  THROWS("not of 24.", AttentionPlan(shape, device, false));
}
