// Random weights at a model's real shape, for benches and capacity planning.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "model/weights.h"

namespace gattling {

// Elements [first, first + n) of a tensor into `out`, n = out.size() / size_of(dtype): near normal with deviation 0.02,
// norm weights 1. An element depends on seed, tensor name and its index only.
void synth_fill(const TensorSpec& tensor, DType dtype, uint64_t seed, uint64_t first, std::span<std::byte> out);

// Bytes of weights.
using SynthProgress = std::function<void(uint64_t done, uint64_t total)>;

// Writes a folder in Hugging Face format: config.json as given, and weights of its dtype (bfloat16 when it has none) in
// shards of at most 4 GiB. The folder is complete or holds nothing new; one that holds a model already is an error.
// `progress` is called on this thread. Returns the bytes written.
uint64_t synth(const std::string& config_json, const std::string& out, uint64_t seed, const SynthProgress& progress);

}  // namespace gattling
