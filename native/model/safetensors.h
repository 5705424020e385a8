// The safetensors format (huggingface/safetensors, "Format"): 8 bytes of little-endian header length, a JSON header,
// data.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/tensor.h"

namespace gattling {

// A file mapped read-only. A file that somebody truncates while it is mapped ends the process (SIGBUS), as with any
// mmap.
class MappedFile {
 public:
  // A file of more than max_bytes is an error.
  explicit MappedFile(const std::string& path, size_t max_bytes = SIZE_MAX);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }
  // Starts reading the pages that hold `range`.
  void prefetch(std::span<const std::byte> range) const;
  // Takes the pages that hold `range` out of this process's memory; touching them again reads the file again.
  void release(std::span<const std::byte> range) const;

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

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
