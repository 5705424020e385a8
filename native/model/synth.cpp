#include "model/synth.h"

#include <algorithm>
#include <atomic>

#include "backend/error.h"
#include "model/in_parallel.h"
#include "model/output_folder.h"
#include "model/safetensors_write.h"

namespace gattling {
namespace {

constexpr size_t kChunk = size_t{1} << 20;  // bytes a thread fills and writes at a time; of whole elements

// Bytes [first, first + size) of a tensor and where they go.
struct Chunk {
  const StoredSpec* tensor;
  uint64_t first;
  size_t size;
  uint64_t offset;
};

std::vector<Chunk> chunks_of(const ShardPlan& shard) {
  std::vector<Chunk> chunks;
  uint64_t offset = shard.head.size();
  for (const StoredSpec& tensor : shard.tensors) {
    const uint64_t bytes = tensor.bytes();
    for (uint64_t first = 0; first < bytes; first += kChunk)
      chunks.push_back(
          {&tensor, first, static_cast<size_t>(std::min<uint64_t>(kChunk, bytes - first)), offset + first});
    offset += bytes;
  }
  return chunks;
}

}  // namespace

uint64_t synth(const std::string& config_json, const std::string& out, uint64_t seed, const SynthProgress& progress) {
  const ModelConfig config = parse_config(config_json);
  const DType dtype = config.dtype.value_or(DType::BF16);
  std::vector<std::vector<StoredSpec>> groups;
  for (const TensorSpec& tensor : tensor_specs(config)) groups.push_back({{tensor.name, dtype, tensor.shape}});
  const std::vector<ShardPlan> shards = plan_shards(groups);
  uint64_t n_weights = 0, n_written = config_json.size();
  for (const ShardPlan& shard : shards) n_weights += shard.data_bytes, n_written += shard.head.size();
  n_written += n_weights;

  OutputFolder folder(out);
  for (const char* name : {"config.json", "model.safetensors", "model.safetensors.index.json"})
    check(!folder.holds(name), out, " holds ", name, " already; choose a folder without a model");
  folder.check_space(n_written);
  std::atomic<uint64_t> done{0};
  for (const ShardPlan& shard : shards) {
    OutputFile file = folder.add(shard.name);
    file.write(shard.head, 0);
    const std::vector<Chunk> chunks = chunks_of(shard);
    const auto write_chunk = [&](size_t i) {
      thread_local std::vector<std::byte> buffer(kChunk);
      const std::span<std::byte> bytes(buffer.data(), chunks[i].size);
      synth_fill({chunks[i].tensor->name, chunks[i].tensor->shape}, dtype, seed, chunks[i].first / size_of(dtype),
                 bytes);
      file.write(bytes, chunks[i].offset);
      done += chunks[i].size;
    };
    in_parallel(chunks.size(), write_chunk, [&] { progress(done, n_weights); });
    file.close();
  }
  const auto write_text = [&](const std::string& name, const std::string& text) {
    OutputFile file = folder.add(name);
    file.write(text, 0);
    file.close();
  };
  if (shards.size() > 1) {
    const std::string index = index_of(shards);
    write_text("model.safetensors.index.json", index);
    n_written += index.size();
  }
  write_text("config.json", config_json);  // last: a folder without it is no model
  folder.commit();
  progress(n_weights, n_weights);
  return n_written;
}

}  // namespace gattling
