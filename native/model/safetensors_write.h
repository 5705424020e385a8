// Weights as safetensors files to be: shards named and indexed as Hugging Face's are.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backend/tensor.h"

namespace gattling {

struct StoredSpec {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;

  uint64_t bytes() const;
};

// One file: its tensors lie one after the other, after its head.
struct ShardPlan {
  std::string name;
  std::vector<StoredSpec> tensors;
  std::string head;  // header length and header
  uint64_t data_bytes = 0;
};

constexpr uint64_t kShardBytes = uint64_t{4} << 30;

// Tensors of one group lie in one shard, of at most `most` bytes or of one group. `source` stands in every head; it
// tells shards of one run from others', and needs no escapes.
std::vector<ShardPlan> plan_shards(const std::vector<std::vector<StoredSpec>>& groups, uint64_t most = kShardBytes,
                                   const std::string& source = "");

// model.safetensors.index.json, which several shards need.
std::string index_of(const std::vector<ShardPlan>& shards);

}  // namespace gattling
