#include "model/safetensors_write.h"

#include <algorithm>

#include "backend/error.h"

namespace gattling {
namespace {

const char* type_name(DType dtype) {
  switch (dtype) {
    case DType::F32:
      return "F32";
    case DType::BF16:
      return "BF16";
    case DType::F16:
      return "F16";
    default:
      return "I32";
  }
}

std::string shard_name(size_t index, size_t count) {
  if (count == 1) return "model.safetensors";
  const auto five = [](size_t n) {
    return std::string(5 - std::min<size_t>(5, std::to_string(n).size()), '0') + std::to_string(n);
  };
  return "model-" + five(index + 1) + "-of-" + five(count) + ".safetensors";
}

std::string header_of(const ShardPlan& shard, const std::string& source) {
  std::string json = R"({"__metadata__":{"format":"pt")";
  if (!source.empty()) json += concat(R"(,"source":")", source, '"');
  json += '}';
  uint64_t begin = 0;
  for (const StoredSpec& tensor : shard.tensors) {
    std::string shape;
    for (int64_t extent : tensor.shape) shape += concat(shape.empty() ? "" : ",", extent);
    const uint64_t end = begin + tensor.bytes();
    json += concat(",\"", tensor.name, R"(":{"dtype":")", type_name(tensor.dtype), R"(","shape":[)", shape,
                   R"(],"data_offsets":[)", begin, ",", end, "]}");
    begin = end;
  }
  json += '}';
  json.resize((json.size() + 7) / 8 * 8, ' ');  // so that the data is aligned
  std::string head(8, '\0');
  for (int i = 0; i < 8; ++i) head[i] = static_cast<char>(json.size() >> (8 * i));
  return head + json;
}

}  // namespace

uint64_t StoredSpec::bytes() const {
  uint64_t n = size_of(dtype);
  for (int64_t extent : shape) n *= static_cast<uint64_t>(extent);
  return n;
}

std::vector<ShardPlan> plan_shards(const std::vector<std::vector<StoredSpec>>& groups, uint64_t most,
                                   const std::string& source) {
  std::vector<ShardPlan> shards(1);
  for (const std::vector<StoredSpec>& group : groups) {
    uint64_t bytes = 0;
    for (const StoredSpec& tensor : group) bytes += tensor.bytes();
    if (shards.back().data_bytes > 0 && shards.back().data_bytes + bytes > most) shards.emplace_back();
    shards.back().tensors.insert(shards.back().tensors.end(), group.begin(), group.end());
    shards.back().data_bytes += bytes;
  }
  for (size_t i = 0; i < shards.size(); ++i) {
    shards[i].name = shard_name(i, shards.size());
    shards[i].head = header_of(shards[i], source);
  }
  return shards;
}

std::string index_of(const std::vector<ShardPlan>& shards) {
  uint64_t total = 0;
  for (const ShardPlan& shard : shards) total += shard.data_bytes;
  std::string json = concat(R"({"metadata":{"total_size":)", total, R"(},"weight_map":{)");
  const char* comma = "";
  for (const ShardPlan& shard : shards)
    for (const StoredSpec& tensor : shard.tensors) {
      json += concat(comma, '"', tensor.name, "\":\"", shard.name, '"');
      comma = ",";
    }
  return json + "}}\n";
}

}  // namespace gattling
