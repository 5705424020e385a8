// A model as it is stored: a Hugging Face folder (config.json, model.safetensors or shards named by
// model.safetensors.index.json), or a GGUF file, one or split.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/packed_format.h"
#include "model/tensor_file.h"

namespace gattling {

class Checkpoint {
 public:
  // Maps and validates every file. `path` is a folder, or a .gguf file: of a split one the first. Pickles (.bin, .pth)
  // are never read.
  static Checkpoint open(const std::string& path);

  // What config.json says, or the metadata and tensors of a GGUF file.
  ModelConfig config() const;

  bool has(const std::string& name) const { return entries_.contains(name); }
  // Null when it is not there; its pages are not read ahead.
  const HostTensor* find(const std::string& name) const;
  // The tensor, which must have this shape; its pages start to be read. Valid while the checkpoint lives.
  const HostTensor& get(const std::string& name, const std::vector<int64_t>& shape);
  // The same without the reading ahead, which prefetch() begins.
  const HostTensor& expect(const std::string& name, const std::vector<int64_t>& shape);
  void prefetch(const std::string& name) const;
  // Lets the pages of a tensor go, once it is packed.
  void release(const std::string& name) const;
  // Bytes of all tensors.
  size_t total_bytes() const { return total_bytes_; }
  // Names that get() never returned, sorted: biases that the config does not speak of, for example.
  std::vector<std::string> unused() const;
  // Throws Error on a bias among them, unless it is all zeros, as GPTQ's early packers put them beside every layer.
  void refuse_other_biases(const std::string& architecture) const;

 private:
  struct Entry {
    size_t file;   // index in files_
    size_t index;  // in its tensors()
    bool used = false;
  };

  explicit Checkpoint(std::string path) : path_(std::move(path)) {}
  void open_folder();
  void open_gguf_model();
  void add(TensorFile file);
  void learn_from_tensors(ModelConfig& config);
  void add_shards(const std::string& index_name);
  void combine_packed(std::optional<PackedFormat> format);
  std::string missing(const std::string& name) const;
  const HostTensor& tensor(const Entry& entry) const { return files_[entry.file].tensors()[entry.index]; }

  std::string path_;
  std::vector<TensorFile> files_;
  std::map<std::string, Entry> entries_;
  std::optional<ModelConfig> config_;  // of a GGUF file
  size_t total_bytes_ = 0;
};

}  // namespace gattling
