#include "core/block_manager.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "backend/error.h"

namespace gattling {

namespace {

// Finalizer of MurmurHash3 (Appleby, public domain): every input bit reaches every output bit.
uint64_t mix(uint64_t h) {
  h ^= h >> 33;
  h *= 0xff51afd7ed558ccdull;
  h ^= h >> 33;
  h *= 0xc4ceb9fe1a85ec53ull;
  return h ^ (h >> 33);
}

}  // namespace

BlockManager::BlockManager(int n_blocks, int block_size, bool prefix_caching, uint64_t hash_mask)
    : block_size_(block_size), prefix_caching_(prefix_caching), hash_mask_(hash_mask), blocks_(n_blocks) {
  for (int block = 0; block < n_blocks; ++block) free(block);
}

int BlockManager::match(BlockTable& table, std::span<const int32_t> tokens) {
  if (!prefix_caching_ || tokens.empty()) return 0;
  const int n_whole = (static_cast<int>(tokens.size()) - 1) / block_size_;
  for (int i = 0; i < n_whole; ++i) {
    const auto ids = tokens.subspan(static_cast<size_t>(i) * block_size_, block_size_);
    const int block = find(hash_of(table.content, table.salt, ids), table.content, table.salt, ids);
    if (block < 0) break;
    if (blocks_[block].n_references++ == 0) unlink(block);
    table.blocks.push_back(block);
    table.content = blocks_[block].content;
    ++table.n_registered;
  }
  return table.n_registered * block_size_;
}

bool BlockManager::grow(BlockTable& table, int n_tokens) {
  const int n_more = blocks_for(n_tokens) - static_cast<int>(table.blocks.size());
  if (n_more > n_free_) return false;
  for (int i = 0; i < n_more; ++i) {
    const int block = first_free_;
    unlink(block);
    forget(blocks_[block]);
    blocks_[block].n_references = 1;
    table.blocks.push_back(block);
  }
  return true;
}

void BlockManager::commit(BlockTable& table, std::span<const int32_t> tokens, int n_computed) {
  if (!prefix_caching_) return;
  while ((table.n_registered + 1) * block_size_ <= n_computed) {
    const auto ids = tokens.subspan(static_cast<size_t>(table.n_registered) * block_size_, block_size_);
    const uint64_t hash = hash_of(table.content, table.salt, ids);
    const int known = find(hash, table.content, table.salt, ids);
    if (known >= 0) {
      table.content = blocks_[known].content;  // another sequence computed the same; this copy stays private
    } else {
      const int index = table.blocks[table.n_registered];
      Block& block = blocks_[index];
      const uint64_t parent = std::exchange(table.content, next_content_++);
      // A different content of equal hash may have been first; then this one cannot be found.
      if (by_hash_.try_emplace(hash, index).second)
        block = {block.n_references, -1, -1, table.content, parent, hash, table.salt, {ids.begin(), ids.end()}};
    }
    ++table.n_registered;
  }
}

void BlockManager::unregister(const BlockTable& table) {
  for (int block : table.blocks) forget(blocks_[block]);
}

void BlockManager::truncate(BlockTable& table, int n_tokens) {
  const int n_keep = blocks_for(n_tokens);
  // Tail first, so that a shared prefix is evicted last.
  while (static_cast<int>(table.blocks.size()) > n_keep) {
    const int block = table.blocks.back();
    table.blocks.pop_back();
    if (--blocks_[block].n_references == 0) free(block);
  }
  if (n_keep == 0) {
    table.n_registered = 0;
    table.content = 0;
  } else if (table.n_registered > n_tokens / block_size_) {
    // The chain's id is known only at its end: a table that loses registered blocks stops registering.
    fail("blocks: ", n_tokens, " tokens cut into ", table.n_registered,
         " registered blocks; only unregistered tokens can be undone");
  }
}

void BlockManager::check(std::span<const BlockTable* const> tables) const {
  std::vector<int> n_references(blocks_.size());
  for (const BlockTable* table : tables)
    for (int block : table->blocks) ++n_references[block];
  int n_used = 0;
  for (size_t i = 0; i < blocks_.size(); ++i) {
    if (n_references[i] != blocks_[i].n_references)
      fail("block ", i, " has ", blocks_[i].n_references, " references, tables hold ", n_references[i]);
    n_used += n_references[i] > 0;
  }
  int n_listed = 0, previous = -1;
  for (int block = first_free_; block >= 0; previous = block, block = blocks_[block].next, ++n_listed)
    if (blocks_[block].n_references || blocks_[block].previous != previous || n_listed > n_free_)
      fail("block ", block, " is out of order in the free list");
  if (n_listed != n_free_ || previous != last_free_ || n_free_ + n_used != n_blocks())
    fail("blocks: ", n_listed, " listed, ", n_free_, " free and ", n_used, " used of ", n_blocks());
  for (const auto& [hash, block] : by_hash_)
    if (!blocks_[block].content || blocks_[block].hash != hash) fail("block ", block, " is findable by a stale hash");
}

uint64_t BlockManager::hash_of(uint64_t parent, const Salt& salt, std::span<const int32_t> tokens) const {
  uint64_t words[2];
  std::memcpy(words, salt.data(), sizeof words);
  uint64_t h = mix(mix(parent + 0x9e3779b97f4a7c15ull) ^ words[0]) ^ words[1];
  for (int32_t token : tokens) h = mix(h ^ static_cast<uint32_t>(token)) + 0x9e3779b97f4a7c15ull;
  return h & hash_mask_;
}

int BlockManager::find(uint64_t hash, uint64_t parent, const Salt& salt, std::span<const int32_t> tokens) const {
  const auto found = by_hash_.find(hash);
  if (found == by_hash_.end()) return -1;
  const Block& block = blocks_[found->second];
  const bool same = block.parent == parent && block.salt == salt && std::ranges::equal(block.tokens, tokens);
  return same ? found->second : -1;
}

void BlockManager::unlink(int index) {
  Block& block = blocks_[index];
  (block.previous < 0 ? first_free_ : blocks_[block.previous].next) = block.next;
  (block.next < 0 ? last_free_ : blocks_[block.next].previous) = block.previous;
  block.previous = block.next = -1;
  --n_free_;
}

// Findable blocks queue at the back; the others, which nobody can want again, are taken first.
void BlockManager::free(int index) {
  Block& block = blocks_[index];
  if (block.content) {
    block.previous = last_free_;
    block.next = -1;
    (last_free_ < 0 ? first_free_ : blocks_[last_free_].next) = index;
    last_free_ = index;
  } else {
    block.previous = -1;
    block.next = first_free_;
    (first_free_ < 0 ? last_free_ : blocks_[first_free_].previous) = index;
    first_free_ = index;
  }
  ++n_free_;
}

void BlockManager::forget(Block& block) {
  if (!block.content) return;
  by_hash_.erase(block.hash);
  block.content = 0;
}

}  // namespace gattling
