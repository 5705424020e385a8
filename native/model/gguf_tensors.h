// The weights of a GGUF model as Hugging Face names them.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/gguf.h"
#include "model/tensor_file.h"

namespace gattling {

// By which the frequencies of RoPE are divided: Llama 3.1's rule, worked out.
constexpr const char* kRopeFactors = "rope_freqs.weight";

// "blk.0.attn_q.weight" -> "model.layers.0.self_attn.q_proj.weight"; empty for what no supported model has, and for
// what belongs to no weight of a layer its own name ("rope_freqs.weight").
std::string hugging_face_name(std::string_view name);
// The other way; of a name that no supported model has, itself.
std::string gguf_name(std::string_view name);

// All files of a model, the first of which is `path`: one, or the parts that llama-gguf-split made
// (NAME-00001-of-00003.gguf ..), which must be there and belong together.
std::vector<Gguf> open_gguf(const std::string& path);

// A file's tensors; those that are quantised point into `quantised`. `head_dim` is not 0 when rows of Q and K lie in
// pairs, in heads of that size. Quantised tensors have the dtype bfloat16: activations then have the range of the
// models' training, which float16 lacks.
std::vector<HostTensor> host_tensors(const GgufContents& contents, const std::string& path, int64_t head_dim,
                                     std::vector<std::unique_ptr<const Quantised>>& quantised);
// The same of a file that is taken over.
TensorFile gguf_tensors(Gguf file, int64_t head_dim);

}  // namespace gattling
