// The reference models of test/fixtures, and the others beside the repository when they are there.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "files.h"
#include "model/json.h"
#include "model/load.h"

namespace test {

inline std::string fixture(const std::string& name) {
  return std::string(GATTLING_SOURCE_DIR) + "/test/fixtures/models/" + name;
}

inline gattling::Json read_json(const std::string& path) {
  return gattling::Json::parse(read_file(path), path);
}

inline std::vector<int32_t> ids_of(const gattling::Json& array) {
  std::vector<int32_t> ids;
  for (const gattling::Json& id : array.array()) ids.push_back(static_cast<int32_t>(id.integer()));
  return ids;
}

inline const std::vector<std::string> kModels = {"mha-rope10k", "gqa-llama3rope-tied", "mqa-f16"};

}  // namespace test
