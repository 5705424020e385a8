// The safetensors format (huggingface/safetensors, "Format"): 8 bytes of little-endian header length, a JSON header,
// data.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "backend/tensor.h"
#include "model/mapped_file.h"

namespace gattling {

// The tensors of a file's bytes in the order of their data, which must fill the file after the header without holes or
// overlaps. `path` names the file in errors.
std::vector<HostTensor> parse_safetensors(std::span<const std::byte> file, const std::string& path);

// One open file; its tensors stay valid while it lives.
class SafeTensors {
 public:
  explicit SafeTensors(const std::string& path);
  const std::string& path() const { return file_.path(); }
  const std::vector<HostTensor>& tensors() const { return tensors_; }
  void prefetch(const HostTensor& tensor) const { file_.prefetch({tensor.data, tensor.bytes()}); }
  void release(const HostTensor& tensor) const { file_.release({tensor.data, tensor.bytes()}); }

 private:
  MappedFile file_;
  std::vector<HostTensor> tensors_;
};

}  // namespace gattling
