// A whole file in memory, read when it is touched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

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

}  // namespace gattling
