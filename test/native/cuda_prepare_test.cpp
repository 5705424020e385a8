#include <vector>

#include "cuda/kernels/prepare.h"
#include "cuda_buffers.h"
#include "test.h"

using namespace gattling::cuda;
using namespace test;

namespace {

using Ids = std::vector<int32_t>;

constexpr int32_t kUntouched = -77;
constexpr int kSlots = 3, kTable = 600;

// Rows n_rows of a bucket, and n_entries of a block table, against the same by hand.
void prepare_rows(int n_rows, int bucket, int n_entries) {
  Ids tokens, positions, slots, last = {100, 101, 102}, table(kTable, kUntouched);
  for (int i = 0; i < n_rows; ++i) {
    tokens.push_back(i % 3 == 1 ? -1 : i);
    positions.push_back(1000 + i);
    slots.push_back(i % kSlots);
  }
  std::vector<BlockEntry> entries;
  for (int i = 0; i < n_entries; ++i) entries.push_back({(i * 7 + 3) % kTable, 5000 + i});

  Stream stream;
  const Ids past(static_cast<size_t>(bucket) + 8, kUntouched);  // none of it may be written behind the bucket
  const Buffer tokens_in = on_device(tokens, stream), positions_in = on_device(positions, stream);
  const Buffer slots_in = on_device(slots, stream), pool = on_device(last, stream);
  const Buffer appended = on_device(entries, stream), tables = on_device(table, stream);
  const Buffer tokens_out = on_device(past, stream), positions_out = on_device(past, stream);
  const Buffer slots_out = on_device(past, stream);
  prepare({tokens_in.as<int32_t>(), positions_in.as<int32_t>(), slots_in.as<int32_t>(), appended.as<BlockEntry>(),
           n_rows, n_entries, pool.as<int32_t>(), tokens_out.as<int32_t>(), positions_out.as<int32_t>(),
           slots_out.as<int32_t>(), tables.as<int32_t>(), bucket},
          stream);

  Ids want_tokens = past, want_positions = past, want_slots = past;
  for (size_t i = 0; i < static_cast<size_t>(bucket); ++i) {
    const bool is_row = i < tokens.size();
    want_slots[i] = is_row ? slots[i] : -1;
    want_positions[i] = is_row ? positions[i] : 0;
    want_tokens[i] = !is_row ? 0 : tokens[i] < 0 ? last[static_cast<size_t>(slots[i])] : tokens[i];
  }
  for (const BlockEntry& entry : entries) table[static_cast<size_t>(entry.index)] = entry.block;
  CHECK(on_host<int32_t>(tokens_out, stream) == want_tokens);
  CHECK(on_host<int32_t>(positions_out, stream) == want_positions);
  CHECK(on_host<int32_t>(slots_out, stream) == want_slots);
  CHECK(on_host<int32_t>(tables, stream) == table);
}

}  // namespace

TEST(rows_of_a_bucket) {
  for (const auto& [n_rows, bucket] :
       std::vector<std::pair<int, int>>{{1, 1}, {1, 4}, {5, 8}, {255, 256}, {256, 256}, {257, 264}, {3, 512}})
    prepare_rows(n_rows, bucket, 2);
}

TEST(entries_of_block_tables) {
  for (const int n_entries : {0, 1, 255, 256, 257}) prepare_rows(5, 8, n_entries);
}

TEST(nothing_to_do) {
  prepare_rows(0, 0, 0);
  prepare_rows(0, 0, 300);
}
