// Dense weights to integers at load (--quantization), in the form that quantised files have.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/quantised.h"

namespace gattling {

constexpr const char* name_of(Quantization quantization) {
  constexpr const char* names[] = {"none", "int8", "int4", "int4-g128"};
  return names[static_cast<size_t>(quantization)];
}

// The parts of a weight with its dense matrices as symmetric integers; norms, biases and what is quantised already stay
// as they are. Tables and heads take 8 bits under int4 too.
class QuantisedParts {
 public:
  QuantisedParts(Use use, std::span<const HostTensor> parts, Quantization quantization);

  std::span<const HostTensor> parts() const { return parts_; }

 private:
  std::vector<HostTensor> parts_;
  std::vector<std::unique_ptr<Quantised>> owned_;
};

// The scale of 4- or 8-bit integers that gives x [n], n at most 128, least squared error, and the integers. Scales are
// rounded to fp16 unless that costs them more than one part in 256.
float quantise_group(int bits, std::span<const float> x, int8_t* q);

// An estimate of the bytes that a quantised matrix [n, k] takes once it is packed, rather too many than too few:
// offsets are taken for fp32, scales for what the first groups need.
uint64_t packed_bytes(const HostTensor& tensor);

}  // namespace gattling
