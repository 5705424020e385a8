// A folder of dense weights as one of GPTQ's packed integers, which other programs read, too (`gattling quantize`).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "backend/quantised.h"
#include "model/safetensors_write.h"

namespace gattling {

struct FolderQuantization {
  std::string folder;
  std::string out;
  Quantization quantization = Quantization::Int4;
  uint64_t shard_bytes = kShardBytes;
};

struct QuantizedTensor {
  std::string name;
  double error;  // sqrt(sum (w - w')^2 / sum w^2)
};

struct QuantizedFolder {
  uint64_t bytes = 0;                    // of weights, those of an earlier run included
  int n_kept = 0;                        // shards that an earlier run had written
  std::vector<QuantizedTensor> tensors;  // that were packed now
};

// Writes the weights: linear layers as layers of GPTQ (packed_linear.h), symmetric, without act-order, a scale for each
// group that --quantization would take; norms, biases, embedding and head as they are, and a layer whose size no words
// hold. Shards appear one by one, each complete, and those that are there already, of the same source, are kept: a run
// that was cut goes on. Other weights in the folder are an error.
// Scales are fp16 where that holds them.
QuantizedFolder quantize_folder(const FolderQuantization& options,
                                const std::function<void(uint64_t done, uint64_t total)>& progress);

}  // namespace gattling
