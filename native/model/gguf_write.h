// A GGUF file under construction (ggml-org/ggml, docs/gguf.md): version 3, little-endian.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/gguf_types.h"

namespace gattling {

class GgufHeader {
 public:
  static constexpr uint64_t kAlignment = 32;

  void string(std::string_view key, std::string_view value);
  void u32(std::string_view key, uint32_t value);
  void f32(std::string_view key, float value);
  // Fields that are serialised already.
  void fields(std::string_view bytes, uint64_t n);

  // `shape` rows first. The place of its data, from the end of the header.
  uint64_t tensor(std::string_view name, const std::vector<int64_t>& shape, GgmlType type);

  // Up to where the data begins.
  std::string bytes() const;
  uint64_t data_bytes() const { return data_bytes_; }

 private:
  std::string fields_, tensors_;
  uint64_t n_fields_ = 0, n_tensors_ = 0, data_bytes_ = 0;
};

// Bytes of n elements, which are whole blocks.
uint64_t ggml_bytes(GgmlType type, int64_t n);

// Whether all numbers, or the scales of their blocks, are finite in `type`.
bool can_write(GgmlType type, std::span<const float> x);

// n elements, which can be written, as `type`: F32, F16, BF16, or Q8_0 and Q4_0 as ggml rounds (ggml-quants.c,
// quantize_row_q8_0_ref and quantize_row_q4_0_ref).
void write_ggml(GgmlType type, const float* x, int64_t n, std::byte* to);

}  // namespace gattling
