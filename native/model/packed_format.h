// How a folder says that its linear layers are packed integers of GPTQ or AWQ (packed_linear.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace gattling {

struct PackedFormat {
  enum class Method : uint8_t { Gptq, Awq };

  Method method = Method::Gptq;
  int bits = 4;          // 4, or 8 with GPTQ
  int64_t group = 128;   // inputs that share a scale: 16, 32, 64 or 128; 0: all
  bool less_one = true;  // zero points are stored less one: GPTQ's first format
  std::string source;    // for errors
};

// From "quantization_config" of config.json or, if the folder holds packed tensors, from what older ones have in its
// place: quantize_config.json (AutoGPTQ) or quant_config.json (AutoAWQ). None: the weights are plain numbers. Throws
// Error on a method or form that is not read, and on packed tensors of which nothing is said.
std::optional<PackedFormat> packed_format(const std::string& folder, bool has_packed);

}  // namespace gattling
