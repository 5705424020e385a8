// Files for tests: a folder that removes itself, and safetensors bytes made by hand.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "test.h"

namespace test {

class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "gattling-XXXXXX").string();
    if (!mkdtemp(pattern.data())) failed(__FILE__, __LINE__, "mkdtemp failed");
    path = pattern;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  TempFolder(const TempFolder&) = delete;

  std::string write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path + "/" + name, std::ios::binary) << bytes;
    return path + "/" + name;
  }
  size_t n_files() const {
    size_t n = 0;
    for (const auto& file : std::filesystem::directory_iterator(path)) n += file.exists();
    return n;
  }

  std::string path;
};

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// 8 bytes, little-endian.
inline std::string length_bytes(uint64_t length) {
  std::string out;
  for (int i = 0; i < 8; ++i) out += static_cast<char>(length >> (8 * i));
  return out;
}

inline std::string safetensors(const std::string& header, const std::string& data) {
  return length_bytes(header.size()) + header + data;
}

}  // namespace test
