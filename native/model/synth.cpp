#include "model/synth.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include "backend/error.h"
#include "model/output_folder.h"

namespace gattling {
namespace {

constexpr uint64_t kMaxShard = uint64_t{4} << 30;
constexpr size_t kChunk = size_t{1} << 20;  // bytes a thread fills and writes at a time; of whole elements
constexpr unsigned kMaxThreads = 8;

uint64_t bytes_of(const TensorSpec& tensor, DType dtype) {
  uint64_t n = size_of(dtype);
  for (int64_t extent : tensor.shape) n *= static_cast<uint64_t>(extent);
  return n;
}

// One file to be: its tensors lie one after the other, after its head.
struct ShardPlan {
  std::string name;
  std::vector<TensorSpec> tensors;
  std::string head;  // header length and header
  uint64_t data_bytes = 0;
};

std::string shard_name(size_t index, size_t count) {
  if (count == 1) return "model.safetensors";
  const auto five = [](size_t n) {
    return std::string(5 - std::min<size_t>(5, std::to_string(n).size()), '0') + std::to_string(n);
  };
  return "model-" + five(index + 1) + "-of-" + five(count) + ".safetensors";
}

std::string header_of(const ShardPlan& shard, DType dtype) {
  const char* type = dtype == DType::F32 ? "F32" : dtype == DType::BF16 ? "BF16" : "F16";
  std::string json = R"({"__metadata__":{"format":"pt"})";
  uint64_t begin = 0;
  for (const TensorSpec& tensor : shard.tensors) {
    std::string shape;
    for (int64_t extent : tensor.shape) shape += concat(shape.empty() ? "" : ",", extent);
    const uint64_t end = begin + bytes_of(tensor, dtype);
    json += concat(",\"", tensor.name, R"(":{"dtype":")", type, R"(","shape":[)", shape, R"(],"data_offsets":[)", begin,
                   ",", end, "]}");
    begin = end;
  }
  json += '}';
  json.resize((json.size() + 7) / 8 * 8, ' ');  // so that the data is aligned
  std::string head(8, '\0');
  for (int i = 0; i < 8; ++i) head[i] = static_cast<char>(json.size() >> (8 * i));
  return head + json;
}

std::vector<ShardPlan> plan(const ModelConfig& config, DType dtype) {
  std::vector<ShardPlan> shards(1);
  for (const TensorSpec& tensor : tensor_specs(config)) {
    const uint64_t bytes = bytes_of(tensor, dtype);
    if (shards.back().data_bytes > 0 && shards.back().data_bytes + bytes > kMaxShard) shards.emplace_back();
    shards.back().tensors.push_back(tensor);
    shards.back().data_bytes += bytes;
  }
  for (size_t i = 0; i < shards.size(); ++i) {
    shards[i].name = shard_name(i, shards.size());
    shards[i].head = header_of(shards[i], dtype);
  }
  return shards;
}

std::string index_of(const std::vector<ShardPlan>& shards, uint64_t total) {
  std::string json = concat(R"({"metadata":{"total_size":)", total, R"(},"weight_map":{)");
  const char* comma = "";
  for (const ShardPlan& shard : shards)
    for (const TensorSpec& tensor : shard.tensors) {
      json += concat(comma, '"', tensor.name, "\":\"", shard.name, '"');
      comma = ",";
    }
  return json + "}}\n";
}

// Bytes [first, first + size) of a tensor and where they go.
struct Chunk {
  const TensorSpec* tensor;
  uint64_t first;
  size_t size;
  uint64_t offset;
};

std::vector<Chunk> chunks_of(const ShardPlan& shard, DType dtype) {
  std::vector<Chunk> chunks;
  uint64_t offset = shard.head.size();
  for (const TensorSpec& tensor : shard.tensors) {
    const uint64_t bytes = bytes_of(tensor, dtype);
    for (uint64_t first = 0; first < bytes; first += kChunk)
      chunks.push_back(
          {&tensor, first, static_cast<size_t>(std::min<uint64_t>(kChunk, bytes - first)), offset + first});
    offset += bytes;
  }
  return chunks;
}

// Runs work(0 .. n - 1) on all threads, this one among them, which calls `pause` between two pieces of its own. The
// first exception ends the work and is thrown here.
template <typename Work, typename Pause>
void in_parallel(size_t n, const Work& work, const Pause& pause) {
  std::atomic<size_t> next{0};
  std::mutex mutex;
  std::exception_ptr error;
  const auto run = [&](bool here) {
    try {
      for (size_t i; (i = next++) < n;) {
        work(i);
        if (here) pause();
      }
    } catch (...) {
      next = n;
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> threads;
    const unsigned n_threads = std::clamp(std::thread::hardware_concurrency(), 1u, kMaxThreads);
    for (unsigned i = 1; i < n_threads; ++i) threads.emplace_back(run, false);
    run(true);
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace

uint64_t synth(const std::string& config_json, const std::string& out, uint64_t seed, const SynthProgress& progress) {
  const ModelConfig config = parse_config(config_json);
  const DType dtype = config.dtype.value_or(DType::BF16);
  const std::vector<ShardPlan> shards = plan(config, dtype);
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
    const std::vector<Chunk> chunks = chunks_of(shard, dtype);
    const auto write_chunk = [&](size_t i) {
      thread_local std::vector<std::byte> buffer(kChunk);
      const std::span<std::byte> bytes(buffer.data(), chunks[i].size);
      synth_fill(*chunks[i].tensor, dtype, seed, chunks[i].first / size_of(dtype), bytes);
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
    const std::string index = index_of(shards, n_weights);
    write_text("model.safetensors.index.json", index);
    n_written += index.size();
  }
  write_text("config.json", config_json);  // last: a folder without it is no model
  folder.commit();
  progress(n_weights, n_weights);
  return n_written;
}

}  // namespace gattling
