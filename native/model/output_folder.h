// Writes several files that appear together, or not at all.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gattling {

class OutputFile {
 public:
  explicit OutputFile(const std::string& path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;

  // Thread-safe.
  void write(std::span<const std::byte> bytes, uint64_t offset) const;
  void write(std::string_view text, uint64_t offset) const { write(std::as_bytes(std::span(text)), offset); }
  // Some file systems report a full disk only here.
  void close();

 private:
  std::string path_;
  int fd_;
};

// Its files are written under temporary names and get their own in commit(), in the order of add(); without it they
// are removed, and so is the folder if it is new.
class OutputFolder {
 public:
  explicit OutputFolder(std::string path);
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;

  bool holds(const std::string& name) const;
  void check_space(uint64_t bytes) const;
  OutputFile add(const std::string& name);
  void commit();

 private:
  std::string path_of(const std::string& name) const { return path_ + "/" + name; }

  std::string path_;
  bool created_ = false;
  std::vector<std::string> names_;
  size_t n_named_ = 0;  // of names_
};

}  // namespace gattling
