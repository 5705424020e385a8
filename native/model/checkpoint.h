// The weights of a Hugging Face model folder: model.safetensors, or shards named by model.safetensors.index.json.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/safetensors.h"

namespace gattling {

class Checkpoint {
 public:
  // Maps and validates every file. Pickles (.bin, .pth) are never read.
  static Checkpoint open(const std::string& folder);

  bool has(const std::string& name) const { return entries_.contains(name); }
  // The tensor, which must have this shape; its pages start to be read. Valid while the checkpoint lives.
  const HostTensor& get(const std::string& name, const std::vector<int64_t>& shape);
  // Lets the pages of a tensor go, once it is packed.
  void release(const std::string& name) const;
  // Bytes of all tensors.
  size_t total_bytes() const { return total_bytes_; }
  // Names that get() never returned, sorted: biases that the config does not speak of, for example.
  std::vector<std::string> unused() const;

 private:
  struct Entry {
    size_t file;   // index in files_
    size_t index;  // in its tensors()
    bool used = false;
  };

  explicit Checkpoint(std::string folder) : folder_(std::move(folder)) {}
  void add_file(const std::string& name);
  void add_shards(const std::string& index_name);
  std::string missing(const std::string& name) const;
  const HostTensor& tensor(const Entry& entry) const { return files_[entry.file].tensors()[entry.index]; }

  std::string folder_;
  std::vector<SafeTensors> files_;
  std::map<std::string, Entry> entries_;
  size_t total_bytes_ = 0;
};

}  // namespace gattling
