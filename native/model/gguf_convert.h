// A Hugging Face folder as a GGUF file that llama.cpp reads, too (`gattling convert`).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "model/gguf_types.h"

namespace gattling {

struct GgufConversion {
  std::string folder;
  std::string out;               // a file that is not there yet
  std::optional<GgmlType> type;  // of matrices: F32, F16, BF16, Q8_0, Q4_0; none: as stored, packed integers as F16
  std::string fields;            // what else the file says of the model, serialised: its name and its vocabulary
  uint64_t n_fields = 0;
};

// "f32", "f16", "bf16", "q8_0", "q4_0"; none for another name.
std::optional<GgmlType> written_type(std::string_view name);

// Architectures llama (Mistral's, too) and qwen2, named and laid out as llama.cpp's convert_hf_to_gguf.py does: rows of
// Q and K of llama in pairs, norms and biases in fp32, a matrix whose rows no blocks of 32 fill in F16. The file
// appears when it is complete. `progress` is called with bytes of weights. Returns the size of the file.
uint64_t convert_to_gguf(const GgufConversion& conversion, const std::function<void(uint64_t, uint64_t)>& progress);

}  // namespace gattling
