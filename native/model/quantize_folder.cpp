#include "model/quantize_folder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <utility>

#include "backend/error.h"
#include "backend/half.h"
#include "backend/parts.h"
#include "backend/quantise.h"
#include "model/checkpoint.h"
#include "model/in_parallel.h"
#include "model/json.h"
#include "model/output_folder.h"
#include "model/weights.h"

namespace gattling {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWeight = ".weight";
constexpr const char* kWeights = ".safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr int64_t kRows = 16;  // that a thread packs at a time

bool is_linear(Use use) {
  return use == Use::Qkv || use == Use::AttnOut || use == Use::GateUp || use == Use::Down;
}

// A tensor of the folder, and what it becomes.
struct Job {
  HostTensor source;
  std::unique_ptr<QuantisedParts> packed;  // null: it is copied

  const Quantised& integers() const { return *packed->parts()[0].quantised; }
  int64_t n() const { return source.shape[0]; }
  int64_t k() const { return source.shape[1]; }
  int64_t per_word() const { return 32 / integers().bits(); }
  int64_t n_groups() const { return (k() + integers().group() - 1) / integers().group(); }

  std::vector<StoredSpec> stored() const {
    if (!packed) return {{source.name, source.dtype, source.shape}};
    const std::string name = source.name.substr(0, source.name.size() - std::strlen(kWeight));
    return {{name + ".qweight", DType::Int32, {k() / per_word(), n()}},
            {name + ".qzeros", DType::Int32, {n_groups(), n() / per_word()}},
            {name + ".scales", DType::F16, {n_groups(), n()}},
            {name + ".g_idx", DType::Int32, {k()}}};
  }
};

// The tensors of a packed layer (packed_linear.h), filled row by row.
class Layer {
 public:
  explicit Layer(const Job& job)
      : job_(job),
        integers_(job.integers()),
        words_(static_cast<size_t>(job.k() / job.per_word() * job.n())),
        scales_(static_cast<size_t>(job.n_groups() * job.n())) {}

  double pack() {
    const auto n_parts = static_cast<size_t>((job_.n() + kRows - 1) / kRows);
    std::vector<double> lost(n_parts), all(n_parts);
    in_parallel(
        n_parts, [&](size_t part) { pack_rows(static_cast<int64_t>(part) * kRows, lost[part], all[part]); }, [] {});
    double lost_sum = 0, sum = 0;
    for (size_t i = 0; i < n_parts; ++i) lost_sum += lost[i], sum += all[i];
    check(std::isfinite(lost_sum), "tensor ", in_quotes(job_.source.name),
          " holds numbers that are not finite, or too large for a scale in float16");
    return sum > 0 ? std::sqrt(lost_sum / sum) : 0;
  }

  // In the order of Job::stored(); the place after them.
  uint64_t write(const OutputFile& file, uint64_t offset) const {
    const auto put = [&](const auto& values) {
      const auto bytes = std::as_bytes(std::span(values));
      file.write(bytes, offset);
      offset += bytes.size();
    };
    put(words_);
    // Zero points in the middle, stored less one.
    const uint32_t zeros = integers_.bits() == 8 ? 0x7f7f7f7f : 0x77777777;
    put(std::vector<uint32_t>(static_cast<size_t>(job_.n_groups() * job_.n() / job_.per_word()), zeros));
    put(scales_);
    std::vector<int32_t> groups;
    for (int64_t i = 0; i < job_.k(); ++i) groups.push_back(static_cast<int32_t>(i / integers_.group()));
    put(groups);
    return offset;
  }

 private:
  void pack_rows(int64_t first, double& lost, double& all) {
    const int64_t k = job_.k(), n = job_.n(), group = integers_.group(), n_groups = job_.n_groups();
    const int64_t p = job_.per_word(), bits = integers_.bits(), middle = int64_t{1} << (bits - 1);
    std::vector<int8_t> q(static_cast<size_t>(n_groups * group));
    std::vector<float> x(static_cast<size_t>(k)), scales(static_cast<size_t>(n_groups)), offsets(scales.size());
    for (int64_t row = first; row < std::min(n, first + kRows); ++row) {
      integers_.read(row, 0, n_groups, q.data(), scales.data(), offsets.data());
      read_columns(job_.source, row, 0, k, x.data());
      for (int64_t i = 0; i < n_groups; ++i) {
        f16 half;
        narrow(scales[static_cast<size_t>(i)], half);
        scales[static_cast<size_t>(i)] = widen(half);
        scales_[static_cast<size_t>(i * n + row)] = half.bits;
      }
      for (int64_t i = 0; i < k; ++i) {
        const auto at = static_cast<size_t>(i);
        const auto stored = static_cast<uint32_t>(q[at] + middle);
        words_[static_cast<size_t>(i / p * n + row)] |= stored << (i % p * bits);
        const double value = x[at], off = value - double{scales[static_cast<size_t>(i / group)]} * q[at];
        lost += off * off;
        all += value * value;
      }
    }
  }

  const Job& job_;
  const Quantised& integers_;
  std::vector<uint32_t> words_;
  std::vector<uint16_t> scales_;
};

std::vector<Job> jobs_of(Checkpoint& checkpoint, const ModelConfig& config, Quantization quantization) {
  std::vector<Job> jobs;
  for (const WeightSpec& weight : weight_specs(config))
    for (const TensorSpec& spec : weight.parts) {
      Job& job = jobs.emplace_back(Job{checkpoint.expect(spec.name, spec.shape), nullptr});
      check(!job.source.quantised, "tensor ", in_quotes(spec.name),
            " is quantised already; expected is a folder of plain weights");
      if (!is_linear(weight.use) || spec.shape.size() != 2) continue;
      job.packed = std::make_unique<QuantisedParts>(weight.use, std::span(&job.source, 1), quantization);
      if (job.n() % job.per_word() != 0 || job.k() % job.per_word() != 0) job.packed = nullptr;
    }
  return jobs;
}

// Whether an earlier run has written the whole shard.
bool is_written(const std::string& path, const ShardPlan& shard) {
  std::error_code error;
  if (fs::file_size(path, error) != shard.head.size() + shard.data_bytes || error) return false;
  std::string head(shard.head.size(), '\0');
  std::ifstream(path, std::ios::binary).read(head.data(), static_cast<std::streamsize>(head.size()));
  return head == shard.head;
}

// Of a folder's weights, by which one is told from another: sizes and times of its files.
std::string fingerprint(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (const auto& file : fs::directory_iterator(folder))
    if (file.path().extension() == kWeights)
      files[file.path().filename()] = concat(file.file_size(), '/', file.last_write_time().time_since_epoch().count());
  std::string all;
  for (const auto& [name, state] : files) all += concat(name, ' ', state, '\n');
  return concat(std::hash<std::string>()(all));
}

// What a loader would take for weights of this model.
void refuse_others(const std::string& folder, const std::vector<ShardPlan>& shards) {
  std::error_code ignored;
  for (const auto& file : fs::directory_iterator(folder, ignored)) {
    const std::string name = file.path().filename();
    const bool ours = std::ranges::any_of(shards, [&](const ShardPlan& shard) { return shard.name == name; }) ||
                      (name == kIndex && shards.size() > 1);
    check(ours || (file.path().extension() != kWeights && name != kIndex), folder, " holds ", name,
          ", which is not of this model in this form; remove it, or choose another folder");
  }
}

// The file is there when all of it is.
void write_shard(const ShardPlan& shard, std::span<const Job> jobs, OutputFolder& folder, const Checkpoint& checkpoint,
                 std::vector<QuantizedTensor>& told, const std::function<void(uint64_t)>& progress) {
  OutputFile file = folder.add(shard.name);
  file.write(shard.head, 0);
  uint64_t offset = shard.head.size();
  for (const Job& job : jobs) {
    checkpoint.prefetch(job.source.name);
    if (job.packed) {
      Layer layer(job);
      told.push_back({job.source.name, layer.pack()});
      offset = layer.write(file, offset);
    } else {
      file.write(std::span(job.source.data, job.source.bytes()), offset);
      offset += job.source.bytes();
    }
    checkpoint.release(job.source.name);
    progress(offset - shard.head.size());
  }
  file.close();
  folder.commit();
}

}  // namespace

QuantizedFolder quantize_folder(const FolderQuantization& options,
                                const std::function<void(uint64_t, uint64_t)>& progress) {
  check(options.quantization != Quantization::None, "quantization must be int8, int4 or int4-g128");
  Checkpoint checkpoint = Checkpoint::open(options.folder);
  const ModelConfig config = checkpoint.config();
  const std::vector<Job> jobs = jobs_of(checkpoint, config, options.quantization);
  checkpoint.refuse_other_biases(config.architecture);
  std::vector<std::vector<StoredSpec>> groups;
  for (const Job& job : jobs) groups.push_back(job.stored());
  const std::string source = concat(name_of(options.quantization), ' ', fingerprint(options.folder));
  const std::vector<ShardPlan> shards = plan_shards(groups, options.shard_bytes, source);
  refuse_others(options.out, shards);

  QuantizedFolder result;
  uint64_t done = 0, missing = 0;
  for (const ShardPlan& shard : shards) {
    result.bytes += shard.data_bytes;
    if (!is_written(options.out + "/" + shard.name, shard)) missing += shard.head.size() + shard.data_bytes;
  }
  OutputFolder folder(options.out);
  check(!folder.holds("config.json"), options.out, " holds a config.json already; choose a folder without a model");
  folder.check_space(missing);
  auto job = jobs.begin();
  for (const ShardPlan& shard : shards) {
    const auto first = job;
    for (size_t n_left = shard.tensors.size(); n_left > 0; ++job) n_left -= job->stored().size();
    if (is_written(options.out + "/" + shard.name, shard)) {
      ++result.n_kept;
    } else {
      write_shard(shard, std::span(first, job), folder, checkpoint, result.tensors,
                  [&](uint64_t bytes) { progress(done + bytes, result.bytes); });
    }
    done += shard.data_bytes;
  }
  progress(done, result.bytes);
  if (shards.size() > 1) {
    OutputFile file = folder.add(kIndex);
    file.write(index_of(shards), 0);
    file.close();
    folder.commit();
  }
  return result;
}

}  // namespace gattling
