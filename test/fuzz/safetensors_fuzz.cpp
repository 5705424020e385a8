// Safetensors files of any bytes: an Error, or tensors that lie within the file.
#include <cstdlib>
#include <string_view>

#include "backend/error.h"
#include "model/safetensors.h"
#include "read_through.h"

using namespace gattling;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string path = "f.safetensors";
  try {
    for (const HostTensor& tensor : parse_safetensors(std::as_bytes(std::span(data, size)), path))
      fuzz::read_through({tensor.data, tensor.bytes()});
  } catch (const Error& error) {
    if (std::string_view(error.what()).find(path) == std::string_view::npos) std::abort();
  }
  return 0;
}
