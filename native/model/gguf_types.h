// ggml's tensor types: names, blocks, and which of them can be served.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "backend/tensor.h"

namespace gattling {

// The format's numbers of the types that can be served.
enum class GgmlType : uint32_t {
  F32 = 0,
  F16 = 1,
  Q4_0 = 2,
  Q4_1 = 3,
  Q5_0 = 6,
  Q5_1 = 7,
  Q8_0 = 8,
  Q2_K = 10,
  Q3_K = 11,
  Q4_K = 12,
  Q5_K = 13,
  Q6_K = 14,
  BF16 = 30,
};

// A row is a whole number of blocks.
struct GgmlBlock {
  const char* name;  // "Q4_K"
  int64_t elements;
  int64_t bytes;
};

// Of any type that ggml has or had since GGUF; null when it is none.
const GgmlBlock* ggml_block(uint32_t type);

// Of the types that are plain numbers.
std::optional<DType> plain_dtype(GgmlType type);

// "F32, F16, .. and Q6_K", for errors.
std::string served_ggml_types();
bool is_served(uint32_t type);

}  // namespace gattling
