// GGUF bytes made by hand, right or wrong.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <type_traits>
#include <vector>

namespace test {

// A number as it lies in a little-endian file.
template <typename T>
std::string number(std::type_identity_t<T> value) {
  std::string out(sizeof(T), '\0');
  std::memcpy(out.data(), &value, sizeof(T));
  return out;
}

inline std::string with_length(const std::string& text) {
  return number<uint64_t>(text.size()) + text;
}

class GgufBytes {
 public:
  uint32_t version = 3;
  uint64_t alignment = 32;
  std::string magic = "GGUF";

  // `value` is what follows the type.
  GgufBytes& field(const std::string& key, uint32_t type, const std::string& value) {
    fields_ += with_length(key) + number<uint32_t>(type) + value;
    ++n_fields;
    return *this;
  }
  GgufBytes& u32(const std::string& key, uint32_t value) { return field(key, 4, number<uint32_t>(value)); }
  GgufBytes& f32(const std::string& key, float value) { return field(key, 6, number<float>(value)); }
  GgufBytes& string(const std::string& key, const std::string& value) { return field(key, 8, with_length(value)); }
  // `elements` are all elements' bytes.
  GgufBytes& array(const std::string& key, uint32_t type, uint64_t n, const std::string& elements) {
    return field(key, 9, number<uint32_t>(type) + number<uint64_t>(n) + elements);
  }
  GgufBytes& strings(const std::string& key, const std::vector<std::string>& values) {
    std::string elements;
    for (const std::string& value : values) elements += with_length(value);
    return array(key, 8, values.size(), elements);
  }

  // A description alone. `dims` in the file's order: columns first.
  GgufBytes& describe(const std::string& name, std::initializer_list<uint64_t> dims, uint32_t type, uint64_t offset) {
    tensors_ += with_length(name) + number<uint32_t>(dims.size());
    for (uint64_t dim : dims) tensors_ += number<uint64_t>(dim);
    tensors_ += number<uint32_t>(type) + number<uint64_t>(offset);
    ++n_tensors;
    return *this;
  }
  // With its data, after what there is.
  GgufBytes& tensor(const std::string& name, std::initializer_list<uint64_t> dims, uint32_t type,
                    const std::string& bytes) {
    data += padding(data.size());
    describe(name, dims, type, data.size());
    data += bytes;
    return *this;
  }

  std::string bytes() const {
    std::string out = magic + number<uint32_t>(version) + number<uint64_t>(n_tensors) + number<uint64_t>(n_fields) +
                      fields_ + tensors_;
    return data.empty() ? out : out + padding(out.size()) + data;
  }

  uint64_t n_fields = 0;
  uint64_t n_tensors = 0;
  std::string data;

 private:
  std::string padding(size_t at) const { return std::string((alignment - at % alignment) % alignment, '\0'); }

  std::string fields_, tensors_;
};

// A valid llama of one layer without its tensors.
inline GgufBytes small_llama() {
  GgufBytes file;
  file.string("general.architecture", "llama").u32("llama.block_count", 1).u32("llama.context_length", 64);
  file.u32("llama.embedding_length", 32).u32("llama.feed_forward_length", 64).u32("llama.attention.head_count", 4);
  file.f32("llama.attention.layer_norm_rms_epsilon", 1e-5f).strings("tokenizer.ggml.tokens", {"a", "b", "c"});
  return file;
}

}  // namespace test
