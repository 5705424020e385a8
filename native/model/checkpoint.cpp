#include "model/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <set>
#include <string_view>

#include "backend/error.h"
#include "model/gguf_config.h"
#include "model/gguf_tensors.h"
#include "model/json.h"
#include "model/packed_format.h"
#include "model/packed_linear.h"
#include "model/safetensors.h"

namespace gattling {
namespace {

namespace fs = std::filesystem;

constexpr const char* kGguf = ".gguf";
constexpr const char* kSingle = "model.safetensors";
constexpr std::string_view kPacked = ".qweight";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr size_t kMaxIndex = 64 << 20;

std::string in_words(const std::vector<int64_t>& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) out += concat(i ? ", " : "", shape[i]);
  return out + "]";
}

// A shard is a file of the folder itself, whatever the index says.
bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find_first_of(std::string_view("/\\\0", 3)) == name.npos;
}

bool exists(const std::string& path) {
  std::error_code ignored;  // opening it will tell
  return fs::exists(path, ignored);
}

// What the folder holds in place of safetensors.
[[noreturn]] void no_weights(const std::string& folder) {
  std::error_code ignored;
  for (const auto& file : fs::directory_iterator(folder, ignored)) {
    const std::string extension = file.path().extension();
    check(extension != ".bin" && extension != ".pth" && extension != ".pt", folder, " holds its weights as a pickle (",
          file.path().filename().string(), "), which is never read because it can run code; convert it to ", kSingle);
    check(extension != kGguf, folder, " is a folder with a GGUF file; name the file itself, for example ",
          file.path().string());
  }
  fail(folder, " holds neither ", kSingle, " nor ", kIndex);
}

// Bytes that differ from the front or the back: small for names that differ in one place.
size_t difference(std::string_view a, std::string_view b) {
  const size_t shorter = std::min(a.size(), b.size());
  size_t same = 0, tail = 0;
  while (same < shorter && a[same] == b[same]) ++same;
  while (tail < shorter - same && a[a.size() - 1 - tail] == b[b.size() - 1 - tail]) ++tail;
  return std::max(a.size(), b.size()) - same - tail;
}

}  // namespace

Checkpoint Checkpoint::open(const std::string& path) {
  Checkpoint checkpoint(path);
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    checkpoint.open_folder();
  } else {
    check(path.ends_with(kGguf), path, " must be a folder that holds a model, or a ", kGguf, " file");
    checkpoint.open_gguf_model();
  }
  for (const auto& [name, entry] : checkpoint.entries_) checkpoint.total_bytes_ += checkpoint.tensor(entry).bytes();
  return checkpoint;
}

void Checkpoint::open_folder() {
  // First: what other methods store has types of its own, about which the files could only complain.
  const std::optional<PackedFormat> declared = declared_format(path_);
  if (exists(path_ + "/" + kSingle))
    add(open_safetensors(path_ + "/" + kSingle));
  else if (exists(path_ + "/" + kIndex))
    add_shards(kIndex);
  else
    no_weights(path_);
  combine_packed(declared);
}

// Replaces the tensors that a layer was packed into (NAME.qweight, ..) by what they stand for, NAME.weight.
void Checkpoint::combine_packed(std::optional<PackedFormat> format) {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_)
    if (name.ends_with(kPacked)) names.push_back(name.substr(0, name.size() - kPacked.size()));
  if (!names.empty() && !format) format = older_format(path_);
  for (const std::string& name : names) {
    const PackedParts parts{find(name + ".qweight"), find(name + ".qzeros"), find(name + ".scales"),
                            find(name + ".g_idx")};
    if (!parts.qzeros || !parts.scales) fail(missing(name + (parts.qzeros ? ".scales" : ".qzeros")));
    const size_t file = entries_.at(name + ".qweight").file;
    PackedLinear linear = packed_linear(*format, name, parts, files_[file].path());
    const size_t index = files_[file].add(std::move(linear.tensor), std::move(linear.quantised));
    for (const char* suffix : {".qweight", ".qzeros", ".scales", ".g_idx"}) entries_.erase(name + suffix);
    const bool added = entries_.try_emplace(name + ".weight", Entry{file, index}).second;
    check(added, files_[file].path(), " holds both ", in_quotes(name + ".qweight"), " and ",
          in_quotes(name + ".weight"), "; one of them must do");
  }
}

void Checkpoint::open_gguf_model() {
  std::vector<Gguf> parts = open_gguf(path_);
  config_ = gguf_config(parts[0].contents, path_);
  const int64_t paired = has_paired_rows(parts[0].contents) ? config_->head_dim : 0;
  for (Gguf& part : parts) add(gguf_tensors(std::move(part), paired));
  if (paired) learn_from_tensors(*config_);
  config_->tie_embeddings = !has("lm_head.weight");
}

// What the metadata of architecture llama leaves to be seen.
void Checkpoint::learn_from_tensors(ModelConfig& config) {
  config.qkv_bias = has("model.layers.0.self_attn.q_proj.bias");
  config.attn_out_bias = has("model.layers.0.self_attn.o_proj.bias");
  if (!has(kRopeFactors)) return;
  const HostTensor& factors = get(kRopeFactors, {config.head_dim / 2});
  check(factors.dtype == DType::F32, path_, ": tensor ", in_quotes(kRopeFactors), " must be F32");
  std::vector<float>& to = config.rope_factors;
  to.resize(static_cast<size_t>(factors.size()));
  std::memcpy(to.data(), factors.data, factors.bytes());
  for (float factor : to)
    check(std::isfinite(factor) && factor > 0, path_, ": tensor ", in_quotes(kRopeFactors), " holds ", factor,
          "; expected are numbers above 0");
}

ModelConfig Checkpoint::config() const {
  return config_ ? *config_ : load_config(path_);
}

void Checkpoint::add(TensorFile file) {
  files_.push_back(std::move(file));
  const std::vector<HostTensor>& tensors = files_.back().tensors();
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto [at, added] = entries_.try_emplace(tensors[i].name, Entry{files_.size() - 1, i});
    check(added, files_[at->second.file].path(), " and ", files_.back().path(), " both hold the tensor ",
          in_quotes(tensors[i].name), "; one of them must");
  }
}

void Checkpoint::add_shards(const std::string& index_name) {
  const MappedFile file(path_ + "/" + index_name, kMaxIndex);
  const Json index = Json::parse(file.text(), file.path());
  const Json* weight_map = index.is_object() ? index.find("weight_map") : nullptr;
  check(weight_map && weight_map->is_object(), file.path(), " must have an object as its \"weight_map\"");

  std::set<std::string> shards;
  for (const auto& [tensor, shard] : weight_map->object()) {
    check(shard.is_string() && is_plain_name(shard.string()), file.path(), ": the shard of tensor ", in_quotes(tensor),
          " is ", shard.describe(), "; expected is the name of a file in the same folder");
    shards.insert(shard.string());
  }
  for (const std::string& shard : shards) {
    check(exists(path_ + "/" + shard), path_ + "/" + shard, " is missing, but ", index_name, " names it");
    add(open_safetensors(path_ + "/" + shard));
  }
  for (const auto& [tensor, shard] : weight_map->object()) {
    const auto at = entries_.find(tensor);
    check(at != entries_.end() && files_[at->second.file].path() == path_ + "/" + shard.string(), path_, "/",
          shard.string(), " does not hold the tensor ", in_quotes(tensor), ", but ", index_name, " says so");
  }
}

const HostTensor& Checkpoint::get(const std::string& name, const std::vector<int64_t>& shape) {
  const HostTensor& found = expect(name, shape);
  prefetch(name);
  return found;
}

const HostTensor& Checkpoint::expect(const std::string& name, const std::vector<int64_t>& shape) {
  const auto at = entries_.find(name);
  if (at == entries_.end()) fail(missing(name));
  const HostTensor& found = tensor(at->second);
  const TensorFile& file = files_[at->second.file];
  check(found.shape == shape, file.path(), ": tensor ", in_quotes(name), " has the shape ", in_words(found.shape),
        "; expected by ", config_ ? "its metadata" : "config.json", " is ", in_words(shape));
  check(found.quantised || found.dtype != DType::Int32, file.path(), ": tensor ", in_quotes(name),
        " is stored as I32; expected is F32, BF16 or F16");
  check(!found.quantised || shape.size() == 2, file.path(), ": tensor ", in_quotes(name),
        " is stored as integers with scales; expected is F32, BF16 or F16, as it is no matrix");
  at->second.used = true;
  return found;
}

const HostTensor* Checkpoint::find(const std::string& name) const {
  const auto at = entries_.find(name);
  return at == entries_.end() ? nullptr : &tensor(at->second);
}

void Checkpoint::prefetch(const std::string& name) const {
  const Entry& entry = entries_.at(name);
  files_[entry.file].prefetch(tensor(entry));
}

void Checkpoint::release(const std::string& name) const {
  const auto at = entries_.find(name);
  if (at != entries_.end()) files_[at->second.file].release(tensor(at->second));
}

std::vector<std::string> Checkpoint::unused() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_)
    if (!entry.used) names.push_back(name);
  return names;
}

void Checkpoint::refuse_other_biases(const std::string& architecture) const {
  for (const auto& [name, entry] : entries_) {
    if (entry.used || !name.ends_with(".bias")) continue;
    const HostTensor& bias = tensor(entry);
    const bool zero =
        std::all_of(bias.data, bias.data + bias.bytes(), [](std::byte byte) { return byte == std::byte{0}; });
    check(zero, path_, " holds ", in_quotes(name), ", which ", architecture, " does not have as ",
          config_ ? "its metadata" : "config.json", " describes it");
  }
}

std::string Checkpoint::missing(const std::string& name) const {
  const std::string where = files_.size() == 1 ? files_[0].path() : path_;
  std::string nearest;
  size_t least = name.size() / 2 + 1;  // farther names are no help
  for (const auto& [other, entry] : entries_) {
    if (difference(name, other) >= least) continue;
    least = difference(name, other);
    nearest = other;
  }
  const std::string hint = nearest.empty() ? "" : ", the nearest of which is " + in_quotes(nearest);
  return concat(where, " does not hold the tensor ", in_quotes(name), ", only ", entries_.size(), " others", hint);
}

}  // namespace gattling
