// GGUF files of any bytes: an Error, or contents that lie within the file and can all be read.
#include <algorithm>
#include <cstdlib>

#include "backend/error.h"
#include "model/gguf.h"
#include "model/gguf_config.h"
#include "model/gguf_tensors.h"
#include "read_through.h"

using namespace gattling;

namespace {

void read_metadata(const GgufContents& contents) {
  for (const GgufField& field : contents.metadata) {
    fuzz::read_through(std::as_bytes(std::span(field.key)));
    fuzz::read_through(field.value.data);
    if (field.value.describe().empty()) std::abort();
    if (!field.value.is_array || field.value.type != GgufType::String) continue;
    for (std::string_view text : field.value.strings()) fuzz::read_through(std::as_bytes(std::span(text)));
  }
}

// The first and the last group.
void read_groups(const HostTensor& tensor) {
  if (tensor.size() == 0) return;
  const int64_t columns = tensor.shape.back();
  const int64_t groups = columns / tensor.quantised->group(), rows = tensor.size() / columns;
  int8_t q[32] = {};  // the largest group of these formats
  float scale, offset;
  tensor.quantised->read(0, 0, 1, q, &scale, &offset);
  tensor.quantised->read(rows - 1, groups - 1, 1, q, &scale, &offset);
  if (std::ranges::any_of(q, [&](int8_t value) { return tensor.quantised->bits() == 4 && (value < -8 || value > 7); }))
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string path = "f.gguf";
  try {
    const GgufContents contents = parse_gguf(std::as_bytes(std::span(data, size)), path);
    read_metadata(contents);
    std::vector<std::unique_ptr<const Quantised>> quantised;
    for (const HostTensor& tensor : host_tensors(contents, path, 8, quantised)) {
      fuzz::read_through({tensor.data, tensor.bytes()});
      if (tensor.quantised) read_groups(tensor);
    }
    const ModelConfig config = gguf_config(contents, path);
    if (config.n_kv_heads < 1 || config.n_heads % config.n_kv_heads != 0 || config.head_dim < 1) std::abort();
  } catch (const Error& error) {
    if (std::string_view(error.what()).find(path) == std::string_view::npos) std::abort();
  }
  return 0;
}
