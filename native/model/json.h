// A strict JSON reader (RFC 8259) for the small files of a model folder: nothing to install, and safe on hostile bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace gattling {

class Json {
 public:
  struct Number {
    double value;
    int64_t integer;
    bool integral;  // `integer` is the exact value
  };
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;  // in file order, every key once

  // `source` names the text in errors, which give the byte offset. At most 64 levels deep; a duplicate key is an error.
  static Json parse(std::string_view text, std::string_view source);

  Json() = default;
  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  bool is_boolean() const { return std::holds_alternative<bool>(value_); }
  bool is_number() const { return std::holds_alternative<Number>(value_); }
  bool is_integer() const { return is_number() && std::get<Number>(value_).integral; }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }

  // These throw Error when the value is of another kind.
  bool boolean() const;
  double number() const;
  int64_t integer() const;
  const std::string& string() const;
  const Array& array() const;
  const Object& object() const;

  // A member of an object; find returns null when there is none, at throws. Linear in the number of members.
  const Json* find(std::string_view key) const;
  const Json& at(std::string_view key) const;

  // The value in words for errors: `the string "abc"`, `3.5`, `an array`.
  std::string describe() const;

 private:
  friend class JsonReader;
  template <typename T>
  const T& as(const char* expected) const;

  std::variant<std::monostate, bool, Number, std::string, Array, Object> value_;
};

// Text of a file for use in an error: in quotes, control characters replaced, long text cut.
std::string in_quotes(std::string_view text);

}  // namespace gattling
