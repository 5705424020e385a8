#include "model/gguf_tensors.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "backend/error.h"
#include "model/gguf_quants.h"
#include "model/gguf_types.h"
#include "model/json.h"

namespace gattling {
namespace {

struct Name {
  std::string_view theirs;
  std::string_view ours;
};

// llama.cpp's names (gguf-py, constants.py, TENSOR_NAMES).
constexpr std::array kTop = {
    Name{"token_embd", "model.embed_tokens"},
    Name{"output_norm", "model.norm"},
    Name{"output", "lm_head"},
};
constexpr std::array kLayer = {
    Name{"attn_norm", "input_layernorm"},    Name{"attn_q", "self_attn.q_proj"},
    Name{"attn_k", "self_attn.k_proj"},      Name{"attn_v", "self_attn.v_proj"},
    Name{"attn_output", "self_attn.o_proj"}, Name{"ffn_norm", "post_attention_layernorm"},
    Name{"ffn_gate", "mlp.gate_proj"},       Name{"ffn_up", "mlp.up_proj"},
    Name{"ffn_down", "mlp.down_proj"},
};
constexpr std::string_view kLayerPrefix = "blk.", kRotations = ".attn_rot_embd.";

// The member of `names` that a tensor's name begins with, up to its ".weight" or ".bias"; null when there is none.
const Name* find(std::span<const Name> names, std::string_view text, std::string_view& suffix) {
  suffix = text.substr(std::min(text.size(), text.rfind('.')));
  if (suffix != ".weight" && suffix != ".bias") return nullptr;
  const auto at = std::ranges::find(names, text.substr(0, text.size() - suffix.size()), &Name::theirs);
  return at == names.end() ? nullptr : &*at;
}

// Digits without leading zeros, so that no two names become one.
bool is_index(std::string_view text) {
  const bool digits = std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
  return digits && !text.empty() && (text.size() == 1 || text[0] != '0');
}

bool is_projection(std::string_view name, std::string_view which) {
  return name.ends_with(concat("self_attn.", which, "_proj.weight")) ||
         name.ends_with(concat("self_attn.", which, "_proj.bias"));
}

std::string part_suffix(uint64_t part, uint64_t count) {
  char text[64];
  std::snprintf(text, sizeof(text), "-%05llu-of-%05llu.gguf", static_cast<unsigned long long>(part),
                static_cast<unsigned long long>(count));
  return text;
}

// A count of the split; 0 when the file does not say.
uint64_t split(const Gguf& file, const char* key) {
  const GgufValue* value = file.contents.find(key);
  if (!value) return 0;
  const bool counts = value->is_number() && !value->is_float() && static_cast<int64_t>(value->bits()) >= 0;
  if (!counts) fail(file.file.path(), ": \"", key, "\" is ", value->describe(), "; expected is a count");
  return value->bits();
}

HostTensor to_host(const GgufTensor& from, std::string name, const std::string& path) {
  HostTensor tensor;
  tensor.name = std::move(name);
  check(is_served(from.type), path, ": tensor ", in_quotes(from.name), " is stored as ", ggml_block(from.type)->name,
        "; supported are ", served_ggml_types());
  tensor.shape = from.shape;
  tensor.data = from.data.data();
  tensor.stored_bytes = from.data.size();
  tensor.dtype = plain_dtype(static_cast<GgmlType>(from.type)).value_or(DType::BF16);
  return tensor;
}

}  // namespace

std::string hugging_face_name(std::string_view name) {
  std::string_view suffix;
  if (!name.starts_with(kLayerPrefix)) {
    const Name* top = find(kTop, name, suffix);
    return top ? concat(top->ours, suffix) : std::string(name);
  }
  const size_t dot = std::min(name.find('.', kLayerPrefix.size()), name.size() - 1);
  const std::string_view index = name.substr(kLayerPrefix.size(), dot - kLayerPrefix.size());
  const Name* layer = find(kLayer, name.substr(dot + 1), suffix);
  return layer && is_index(index) ? concat("model.layers.", index, '.', layer->ours, suffix) : "";
}

std::string gguf_name(std::string_view name) {
  constexpr std::string_view kTheirs = "model.layers.";
  const size_t suffix = std::min(name.size(), name.rfind('.'));
  const auto rename = [&](std::span<const Name> names, std::string_view stem) {
    const auto at = std::ranges::find(names, stem, &Name::ours);
    return at == names.end() ? std::string(stem) : std::string(at->theirs);
  };
  const std::string_view stem = name.substr(0, suffix), rest = name.substr(suffix);
  if (!name.starts_with(kTheirs)) return rename(kTop, stem) + std::string(rest);
  const size_t dot = std::min(stem.size(), stem.find('.', kTheirs.size()));
  const std::string_view index = stem.substr(kTheirs.size(), dot - kTheirs.size());
  return concat(kLayerPrefix, index, '.', rename(kLayer, stem.substr(std::min(stem.size(), dot + 1))), rest);
}

std::vector<Gguf> open_gguf(const std::string& path) {
  std::vector<Gguf> files;
  files.emplace_back(path);
  const uint64_t count = split(files[0], "split.count");
  if (count <= 1) return files;
  const std::string suffix = part_suffix(1, count);
  check(split(files[0], "split.no") == 0 && path.ends_with(suffix), path, " is part ", split(files[0], "split.no") + 1,
        " of ", count, "; expected is the first, whose name ends in ", suffix);
  const std::string stem = path.substr(0, path.size() - suffix.size());
  uint64_t n_tensors = files[0].contents.tensors.size();
  for (uint64_t part = 1; part < count; ++part) {
    const Gguf& file = files.emplace_back(stem + part_suffix(part + 1, count));
    check(split(file, "split.no") == part && split(file, "split.count") == count, file.file.path(),
          " says that it is part ", split(file, "split.no") + 1, " of ", split(file, "split.count"),
          "; expected by its name is ", part + 1, " of ", count);
    n_tensors += file.contents.tensors.size();
  }
  const uint64_t expected = split(files[0], "split.tensors.count");
  check(expected == 0 || expected == n_tensors, path, " says that its parts hold ", expected, " tensors; they hold ",
        n_tensors);
  return files;
}

std::vector<HostTensor> host_tensors(const GgufContents& contents, const std::string& path, int64_t head_dim,
                                     std::vector<std::unique_ptr<const Quantised>>& quantised) {
  std::vector<HostTensor> tensors;
  for (const GgufTensor& from : contents.tensors) {
    if (from.name.find(kRotations) != from.name.npos) continue;  // what old files kept of RoPE; never read
    const std::string name = hugging_face_name(from.name);
    check(!name.empty(), path, ": no supported model has a tensor ", in_quotes(from.name));
    HostTensor tensor = to_host(from, name, path);
    const int64_t columns = from.shape.empty() ? 1 : from.shape.back();
    if (auto view = quantised_view(static_cast<GgmlType>(from.type), from.data.data(), columns)) {
      tensor.quantised = view.get();
      quantised.push_back(std::move(view));
    }
    if (is_projection(name, "q") || is_projection(name, "k")) tensor.paired_head = head_dim;
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

TensorFile gguf_tensors(Gguf file, int64_t head_dim) {
  std::vector<std::unique_ptr<const Quantised>> quantised;
  std::vector<HostTensor> tensors = host_tensors(file.contents, file.file.path(), head_dim, quantised);
  return {std::move(file.file), std::move(tensors), std::move(quantised)};
}

}  // namespace gattling
