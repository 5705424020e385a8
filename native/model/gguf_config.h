// A GGUF file's metadata as a model's config.
#pragma once

#include <string>

#include "model/config.h"
#include "model/gguf.h"

namespace gattling {

// Of the architectures llama and qwen2; another is an error that names it. Mistral is llama with a sliding window.
// What the tensors tell is left to the caller: tied embeddings, biases of llama, rope_factors. Ids of
// tokens are the tokenizer's. `path` names the file in
// errors.
ModelConfig gguf_config(const GgufContents& contents, const std::string& path);

// Architectures whose rows of Q and K llama.cpp stores with both of a rotated pair next to each other.
bool has_paired_rows(const GgufContents& contents);

}  // namespace gattling
