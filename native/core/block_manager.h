// Shares the KV cache among sequences: reference-counted blocks of block_size tokens, found again by their content.
//
// A full block's content is (content of the block before it, salt, its token ids). Each registered content has an id
// that is never reused, so that (parent id, salt, ids) names a whole prefix exactly; a hash finds it, and every field
// is compared on a hit. Freed blocks stay findable until they are evicted, least recently used first, a sequence's tail
// before its head.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace gattling {

using Salt = std::array<uint8_t, 16>;

// One sequence's blocks, in order of position.
struct BlockTable {
  std::vector<int> blocks;
  Salt salt{};
  int n_registered = 0;  // leading blocks whose content is known to the cache
  uint64_t content = 0;  // content id of the last of them, 0 for none
};

class BlockManager {
 public:
  // hash_mask: the bits of the hash in use; tests take few, so that unequal contents collide.
  BlockManager(int n_blocks, int block_size, bool prefix_caching, uint64_t hash_mask = ~uint64_t{0});

  int n_blocks() const { return static_cast<int>(blocks_.size()); }
  int n_free() const { return n_free_; }
  int block_size() const { return block_size_; }
  int blocks_for(int n_tokens) const { return (n_tokens + block_size_ - 1) / block_size_; }

  // Fills an empty table with the longest cached prefix of whole blocks; returns its length in tokens, less than
  // tokens.size() so that at least one token is left to compute.
  int match(BlockTable& table, std::span<const int32_t> tokens);

  // Makes the table cover n_tokens. False, and nothing changed, when there are not enough free blocks.
  bool grow(BlockTable& table, int n_tokens);

  // Registers the full blocks among the first n_computed tokens, whose KV the cache now holds.
  void commit(BlockTable& table, std::span<const int32_t> tokens, int n_computed);

  // Makes the table's blocks unfindable: what was computed into them is not to be trusted.
  void unregister(const BlockTable& table);

  // Gives back the blocks past n_tokens (rejected speculation).
  void truncate(BlockTable& table, int n_tokens);

  void release(BlockTable& table) { truncate(table, 0); }

  // Throws Error unless free + used == total and the reference counts are those of these tables.
  void check(std::span<const BlockTable* const> tables) const;

 private:
  struct Block {
    int n_references = 0;
    int previous = -1, next = -1;  // in the free list, when n_references is 0
    uint64_t content = 0;          // 0: not findable
    uint64_t parent = 0;
    uint64_t hash = 0;
    Salt salt{};
    std::vector<int32_t> tokens;  // [block_size] when findable
  };

  uint64_t hash_of(uint64_t parent, const Salt& salt, std::span<const int32_t> tokens) const;
  int find(uint64_t hash, uint64_t parent, const Salt& salt, std::span<const int32_t> tokens) const;
  void unlink(int block);
  void free(int block);
  void forget(Block& block);

  int block_size_;
  bool prefix_caching_;
  uint64_t hash_mask_;
  int n_free_ = 0;
  uint64_t next_content_ = 1;
  std::vector<Block> blocks_;
  int first_free_ = -1, last_free_ = -1;  // evicted from the front
  std::unordered_map<uint64_t, int> by_hash_;
};

}  // namespace gattling
