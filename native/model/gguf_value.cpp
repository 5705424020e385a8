#include <cstring>
#include <type_traits>

#include "backend/error.h"
#include "model/gguf.h"
#include "model/json.h"

namespace gattling {
namespace {

constexpr uint64_t kLength = 8;  // bytes of a string's length

template <typename T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

template <typename Visit>
auto visit_number(const GgufValue& value, Visit visit) {
  const std::byte* from = value.data.data();
  switch (value.type) {
    case GgufType::Uint8:
      return visit(load<uint8_t>(from));
    case GgufType::Int8:
      return visit(load<int8_t>(from));
    case GgufType::Uint16:
      return visit(load<uint16_t>(from));
    case GgufType::Int16:
      return visit(load<int16_t>(from));
    case GgufType::Uint32:
      return visit(load<uint32_t>(from));
    case GgufType::Int32:
      return visit(load<int32_t>(from));
    case GgufType::Float32:
      return visit(load<float>(from));
    case GgufType::Bool:
      return visit(static_cast<uint8_t>(load<uint8_t>(from) != 0));
    case GgufType::Uint64:
      return visit(load<uint64_t>(from));
    case GgufType::Int64:
      return visit(load<int64_t>(from));
    case GgufType::Float64:
      return visit(load<double>(from));
    case GgufType::String:
    case GgufType::Array:
      break;
  }
  fail("a number of GGUF is expected, not ", value.describe());
}

}  // namespace

const char* name_of(GgufType type) {
  constexpr const char* kNames[] = {"uint8", "int8",   "uint16", "int16",  "uint32", "int32",  "float32",
                                    "bool",  "string", "array",  "uint64", "int64",  "float64"};
  return kNames[static_cast<size_t>(type)];
}

size_t size_of(GgufType type) {
  constexpr uint8_t kSizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return kSizes[static_cast<size_t>(type)];
}

double GgufValue::number() const {
  if (!is_number()) fail("a number of GGUF is expected, not ", describe());
  return visit_number(*this, [](auto value) { return static_cast<double>(value); });
}

uint64_t GgufValue::bits() const {
  if (!is_number() || is_float()) fail("an integer of GGUF is expected, not ", describe());
  return visit_number(*this, [](auto value) -> uint64_t {
    if constexpr (std::is_integral_v<decltype(value)>) return static_cast<uint64_t>(value);
    return 0;
  });
}

std::string_view GgufValue::string() const {
  if (!is_string()) fail("a string of GGUF is expected, not ", describe());
  return {reinterpret_cast<const char*>(data.data()) + kLength, data.size() - kLength};
}

std::vector<std::string_view> GgufValue::strings() const {
  if (!is_array || type != GgufType::String) fail("an array of strings is expected, not ", describe());
  std::vector<std::string_view> out;
  out.reserve(n);
  for (const std::byte* at = data.data(); out.size() < n;) {
    const auto length = load<uint64_t>(at);
    out.emplace_back(reinterpret_cast<const char*>(at) + kLength, length);
    at += kLength + length;
  }
  return out;
}

std::string GgufValue::describe() const {
  if (is_array) return concat("an array of ", n, ' ', name_of(type));
  if (type == GgufType::String) return "the string " + in_quotes(string());
  if (type == GgufType::Bool) return number() != 0 ? "true" : "false";
  return visit_number(*this, [](auto value) { return concat(+value); });
}

}  // namespace gattling
