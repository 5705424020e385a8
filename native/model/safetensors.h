// The safetensors format (huggingface/safetensors, "Format"): 8 bytes of little-endian header length, a JSON header,
// data.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "backend/tensor.h"
#include "model/tensor_file.h"

namespace gattling {

// The tensors of a file's bytes in the order of their data, which must fill the file after the header without holes or
// overlaps. `path` names the file in errors.
std::vector<HostTensor> parse_safetensors(std::span<const std::byte> file, const std::string& path);

TensorFile open_safetensors(const std::string& path);

}  // namespace gattling
