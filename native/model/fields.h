// How a JSON file of a model folder is read.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backend/error.h"
#include "model/json.h"

namespace gattling {

// What errors call a key of config.json, when it came from elsewhere under another name.
using KeyNames = std::function<std::string(std::string_view)>;

// The members of an object; errors name the file, the key, the value found and what was expected. A null counts as
// absent, as in transformers.
class Fields {
 public:
  // `source` and `object` must outlive it.
  Fields(const std::string& source, const Json& object, KeyNames names = {})
      : source_(source), object_(object), names_(std::move(names)) {}

  const Json* find(std::string_view key) const {
    const Json* value = object_.find(key);
    return value && !value->is_null() ? value : nullptr;
  }

  bool is_null(std::string_view key) const { return object_.find(key) && !find(key); }

  template <typename... Parts>
  [[noreturn]] void wrong(std::string_view key, const Parts&... expected) const {
    const Json* value = find(key);
    fail(source_, ": \"", name(key), "\" is ", value ? value->describe() : "missing", "; expected is ", expected...);
  }

  std::string name(std::string_view key) const { return names_ ? names_(key) : std::string(key); }

  int integer(std::string_view key, int64_t max) const {
    const Json* value = find(key);
    if (!value || !value->is_integer() || value->integer() < 1 || value->integer() > max)
      wrong(key, "an integer from 1 to ", max);
    return static_cast<int>(value->integer());
  }
  int integer(std::string_view key, int64_t max, int absent) const { return find(key) ? integer(key, max) : absent; }

  // Positive and finite.
  double number(std::string_view key) const {
    const Json* value = find(key);
    if (!value || !value->is_number() || !(value->number() > 0)) wrong(key, "a number above 0");
    return value->number();
  }
  double number(std::string_view key, double absent) const { return find(key) ? number(key) : absent; }

  bool boolean(std::string_view key, bool absent) const {
    const Json* value = find(key);
    if (value && !value->is_boolean()) wrong(key, "true or false");
    return value ? value->boolean() : absent;
  }

  std::string string(std::string_view key, const std::string& absent) const {
    const Json* value = find(key);
    if (value && !value->is_string()) wrong(key, "a string");
    return value ? value->string() : absent;
  }

  // One id, or a list of them, each at most `max`.
  std::vector<int32_t> ids(std::string_view key, int64_t max) const {
    const Json* value = find(key);
    std::vector<int32_t> ids;
    if (!value) return ids;
    const auto add = [&](const Json& id) {
      if (!id.is_integer() || id.integer() < 0 || id.integer() > max) wrong(key, "a token id or a list of them");
      ids.push_back(static_cast<int32_t>(id.integer()));
    };
    if (value->is_array())
      for (const Json& id : value->array()) add(id);
    else
      add(*value);
    return ids;
  }

  const std::string& source() const { return source_; }
  const KeyNames& names() const { return names_; }

 private:
  const std::string& source_;
  const Json& object_;
  KeyNames names_;
};

}  // namespace gattling
