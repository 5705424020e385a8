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

// What "quantization_config" of config.json says; none: the weights are plain numbers, or an older folder's. Throws
// Error on a method or form that is not read.
std::optional<PackedFormat> declared_format(const std::string& folder);
// Of a folder that holds packed tensors and does not say how there: quantize_config.json (AutoGPTQ) or
// quant_config.json (AutoAWQ) must.
PackedFormat older_format(const std::string& folder);

}  // namespace gattling
