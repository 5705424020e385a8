// The GGUF format (ggml-org/ggml, docs/gguf.md), versions 2 and 3, little-endian: counts, metadata, descriptions of
// tensors, padding, data. All is read in place: names, strings and arrays are views of the file.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/mapped_file.h"

namespace gattling {

// The format's numbers.
enum class GgufType : uint32_t {
  Uint8 = 0,
  Int8 = 1,
  Uint16 = 2,
  Int16 = 3,
  Uint32 = 4,
  Int32 = 5,
  Float32 = 6,
  Bool = 7,
  String = 8,
  Array = 9,
  Uint64 = 10,
  Int64 = 11,
  Float64 = 12,
};

// "uint8", "string"
const char* name_of(GgufType type);
// Bytes of a number or a bool; 0 of strings and arrays.
size_t size_of(GgufType type);

// A metadata value: one of `type`, or an array of `n` of them. Arrays of arrays are refused.
struct GgufValue {
  GgufType type = GgufType::Uint8;  // of the elements; never Array
  bool is_array = false;
  uint64_t n = 1;
  std::span<const std::byte> data;  // the elements as stored, possibly unaligned; each string after 8 bytes of length

  bool is(GgufType scalar) const { return !is_array && type == scalar; }
  bool is_string() const { return is(GgufType::String); }
  // Any type but a string.
  bool is_number() const { return !is_array && type != GgufType::String; }
  bool is_float() const { return is(GgufType::Float32) || is(GgufType::Float64); }

  // Of a number (a bool is 0 or 1): exact, but for 64-bit integers past 2^53.
  double number() const;
  // Of an integer or a bool, as its 64 bits: a negative one is its two's complement.
  uint64_t bits() const;
  // Of a string.
  std::string_view string() const;
  // Of an array of strings: views of the file.
  std::vector<std::string_view> strings() const;
  // The value in words for errors: `the string "abc"`, `3`, `an array of 4 uint32`.
  std::string describe() const;
};

struct GgufField {
  std::string_view key;
  GgufValue value;
};

struct GgufTensor {
  std::string_view name;
  uint32_t type;               // ggml's number; its name is ggml_block(type)->name
  std::vector<int64_t> shape;  // rows first: the reverse of the file's order
  std::span<const std::byte> data;
};

// What a file holds, in file order. Keys, names and data are views of its bytes.
struct GgufContents {
  uint32_t version = 0;
  std::vector<GgufField> metadata;
  std::vector<GgufTensor> tensors;

  // Null when there is none.
  const GgufValue* find(std::string_view key) const;
};

// Throws Error on what is not GGUF or is damaged: then no tensor or value lies outside `file`, no two tensors overlap,
// and every key and name is there once. `path` names the file in errors.
GgufContents parse_gguf(std::span<const std::byte> file, const std::string& path);

// One open file; its contents stay valid while the file is mapped.
struct Gguf {
  explicit Gguf(const std::string& path) : file(path), contents(parse_gguf(file.bytes(), path)) {}

  MappedFile file;
  GgufContents contents;
};

}  // namespace gattling
