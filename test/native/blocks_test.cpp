#include <numeric>

#include "core/block_manager.h"
#include "test.h"

using namespace gattling;

namespace {

std::vector<int32_t> ids(int n, int first = 0) {
  std::vector<int32_t> out(n);
  std::iota(out.begin(), out.end(), first);
  return out;
}

void verify(const BlockManager& blocks, std::initializer_list<const BlockTable*> tables) {
  blocks.check(std::vector<const BlockTable*>(tables));
}

// A table that holds and has registered these tokens.
BlockTable filled(BlockManager& blocks, const std::vector<int32_t>& tokens, Salt salt = {}) {
  BlockTable table;
  table.salt = salt;
  CHECK(blocks.grow(table, static_cast<int>(tokens.size())));
  blocks.commit(table, tokens, static_cast<int>(tokens.size()));
  return table;
}

}  // namespace

TEST(grow_takes_all_or_nothing) {
  BlockManager blocks(4, 16, true);
  BlockTable a, b;
  CHECK(blocks.grow(a, 33) && a.blocks.size() == 3 && blocks.n_free() == 1);
  CHECK(!blocks.grow(b, 17) && b.blocks.empty() && blocks.n_free() == 1);
  CHECK(blocks.grow(b, 16) && blocks.n_free() == 0);
  CHECK(blocks.grow(a, 48) && !blocks.grow(a, 49));
  verify(blocks, {&a, &b});
  blocks.release(a);
  blocks.release(b);
  CHECK(blocks.n_free() == 4);
  verify(blocks, {});
}

TEST(match_finds_whole_blocks_and_leaves_a_token) {
  BlockManager blocks(8, 16, true);
  BlockTable first = filled(blocks, ids(40));
  for (const auto& [n, expected] : {std::pair{16, 0}, {17, 16}, {32, 16}, {33, 32}, {48, 32}}) {
    BlockTable table;
    CHECK(blocks.match(table, ids(n)) == expected);
    for (size_t i = 0; i < table.blocks.size(); ++i) CHECK(table.blocks[i] == first.blocks[i]);
    verify(blocks, {&first, &table});
    blocks.release(table);
  }
}

TEST(a_prefix_is_matched_as_a_whole) {
  BlockManager blocks(8, 16, true);
  BlockTable first = filled(blocks, ids(32));
  BlockTable other;
  auto tokens = ids(33);
  tokens[3] = 99;  // the second block's own tokens are equal, what is before them is not
  CHECK(blocks.match(other, tokens) == 0);
}

TEST(salts_do_not_share) {
  BlockManager blocks(8, 16, true);
  BlockTable mine = filled(blocks, ids(17), Salt{1});
  BlockTable yours;
  yours.salt = Salt{2};
  CHECK(blocks.match(yours, ids(17)) == 0);
  yours.salt = Salt{1};
  CHECK(blocks.match(yours, ids(17)) == 16);
}

TEST(a_hash_collision_is_no_match) {
  BlockManager blocks(8, 16, true, 0);  // all hashes are equal
  BlockTable first = filled(blocks, ids(16), Salt{1});
  const auto matched = [&](const std::vector<int32_t>& tokens, Salt salt) {
    BlockTable table;
    table.salt = salt;
    const int n = blocks.match(table, tokens);
    blocks.release(table);
    return n;
  };
  CHECK(matched(ids(17), Salt{1}) == 16);
  CHECK(matched(ids(17), Salt{2}) == 0);
  CHECK(matched(ids(17, 1), Salt{1}) == 0);
  auto twice = ids(16);
  for (int32_t id : ids(17)) twice.push_back(id);
  CHECK(matched(twice, Salt{1}) == 16);                      // equal tokens, another prefix
  BlockTable other = filled(blocks, ids(48, 100), Salt{1});  // finds the place taken
  CHECK(matched(ids(48, 100), Salt{1}) == 0 && other.n_registered == 3);
  verify(blocks, {&first, &other});
}

TEST(without_prefix_caching_nothing_is_found) {
  BlockManager blocks(8, 16, false);
  BlockTable first = filled(blocks, ids(32));
  BlockTable other;
  CHECK(blocks.match(other, ids(32)) == 0);
}

TEST(freed_blocks_stay_findable_until_evicted_tail_before_head) {
  BlockManager blocks(4, 16, true);
  BlockTable first = filled(blocks, ids(64));
  blocks.release(first);
  CHECK(blocks.n_free() == 4);
  BlockTable thief;
  CHECK(blocks.grow(thief, 32));  // evicts the two last blocks of the freed four
  BlockTable again;
  CHECK(blocks.match(again, ids(64)) == 32);
  verify(blocks, {&thief, &again});
}

TEST(eviction_takes_the_least_recently_used) {
  BlockManager blocks(3, 16, true);
  BlockTable a = filled(blocks, ids(16, 0)), b = filled(blocks, ids(16, 100)), c = filled(blocks, ids(16, 200));
  blocks.release(a);
  blocks.release(b);
  blocks.release(c);
  BlockTable hit;
  CHECK(blocks.match(hit, ids(17, 0)) == 16);  // a is used again
  blocks.release(hit);
  BlockTable thief;
  CHECK(blocks.grow(thief, 16));
  BlockTable table;
  CHECK(blocks.match(table, ids(17, 100)) == 0);
  CHECK(blocks.match(table, ids(17, 0)) == 16);
  blocks.release(table);
  CHECK(blocks.match(table, ids(17, 200)) == 16);
}

TEST(equal_content_computed_twice_is_registered_once) {
  BlockManager blocks(8, 16, true);
  BlockTable a = filled(blocks, ids(32)), b = filled(blocks, ids(32));
  verify(blocks, {&a, &b});
  BlockTable hit;
  CHECK(blocks.match(hit, ids(33)) == 32 && hit.blocks == a.blocks);
  CHECK(b.content == a.content);  // and what b registers after it continues the same chain
}

TEST(unregistered_blocks_are_found_no_more) {
  BlockManager blocks(8, 16, true);
  BlockTable bad = filled(blocks, ids(32)), table;
  CHECK(blocks.match(table, ids(40)) == 32);
  blocks.unregister(bad);
  verify(blocks, {&bad, &table});
  blocks.release(bad);
  blocks.release(table);
  verify(blocks, {});
  CHECK(blocks.match(table, ids(40)) == 0);
  BlockTable good = filled(blocks, ids(32));
  CHECK(blocks.match(table, ids(40)) == 32);
}

TEST(truncate_undoes_rejected_tokens) {
  BlockManager blocks(8, 16, true);
  BlockTable table = filled(blocks, ids(20));
  CHECK(blocks.grow(table, 60) && table.blocks.size() == 4);
  blocks.truncate(table, 21);
  CHECK(table.blocks.size() == 2 && blocks.n_free() == 6);
  verify(blocks, {&table});
  THROWS("registered", blocks.truncate(table, 5));
}
