#include "model/gguf_config.h"

#include <array>
#include <cmath>
#include <iomanip>
#include <limits>
#include <sstream>

#include "backend/error.h"
#include "model/json.h"

namespace gattling {
namespace {

struct Key {
  const char* ours;    // in config.json
  const char* theirs;  // {arch} stands for the architecture's name
};

// llama.cpp's names (src/llama-arch.cpp).
constexpr std::array kKeys = {
    Key{"hidden_size", "{arch}.embedding_length"},
    Key{"num_hidden_layers", "{arch}.block_count"},
    Key{"intermediate_size", "{arch}.feed_forward_length"},
    Key{"num_attention_heads", "{arch}.attention.head_count"},
    Key{"num_key_value_heads", "{arch}.attention.head_count_kv"},
    Key{"head_dim", "{arch}.attention.key_length"},
    Key{"max_position_embeddings", "{arch}.context_length"},
    Key{"rms_norm_eps", "{arch}.attention.layer_norm_rms_epsilon"},
    Key{"rope_theta", "{arch}.rope.freq_base"},
    Key{"sliding_window", "{arch}.attention.sliding_window"},
};

constexpr const char* kTokens = "tokenizer.ggml.tokens";

class Metadata {
 public:
  Metadata(const GgufContents& contents, const std::string& path) : contents_(contents), path_(path) {
    const GgufValue* name = contents.find("general.architecture");
    check(name && name->is_string(), path, ": \"general.architecture\" is ", name ? name->describe() : "missing",
          "; expected is llama or qwen2");
    architecture = std::string(name->string());
    check(architecture == "llama" || architecture == "qwen2", path, ": the architecture ", in_quotes(architecture),
          " is not supported; expected is llama (also for Mistral) or qwen2");
  }

  std::string architecture;

  std::string spelled(std::string_view key) const {
    return key.starts_with("{arch}") ? architecture + std::string(key.substr(6)) : std::string(key);
  }
  const GgufValue* find(std::string_view key) const { return contents_.find(spelled(key)); }

  // Null when there is none; one that is no number is an error.
  const GgufValue* number(std::string_view key) const {
    const GgufValue* value = find(key);
    if (value && !value->is_number()) wrong(key, "a number");
    return value;
  }
  // 0 when there is none: what is switched off is written as 0, too.
  double amount(std::string_view key) const {
    const GgufValue* value = number(key);
    return value ? value->number() : 0;
  }

  template <typename... Parts>
  [[noreturn]] void wrong(std::string_view key, const Parts&... expected) const {
    const GgufValue* value = find(key);
    fail(path_, ": \"", spelled(key), "\" is ", value ? value->describe() : "missing", "; expected is ", expected...);
  }

 private:
  const GgufContents& contents_;
  const std::string& path_;
};

// As JSON that reads back to the same value; what JSON has no numbers for becomes a string, which errors show.
std::string to_json(const GgufValue& value) {
  if (value.is(GgufType::Uint64)) return concat(value.bits());
  if (!value.is_float()) return concat(static_cast<int64_t>(value.bits()));
  if (!std::isfinite(value.number())) return concat('"', value.number(), '"');
  std::ostringstream out;
  out << std::setprecision(std::numeric_limits<double>::max_digits10) << value.number();
  return out.str();
}

// What would change the arithmetic and is not built.
void reject_unsupported(const Metadata& metadata, const GgufContents& contents) {
  if (const GgufValue* type = contents.find("general.type"); type && type->is_string() && type->string() != "model")
    metadata.wrong("general.type", "\"model\"");
  if (metadata.amount("{arch}.expert_count") != 0)
    metadata.wrong("{arch}.expert_count", "0: mixtures of experts are not supported");
  if (metadata.find("{arch}.attention.causal") && metadata.amount("{arch}.attention.causal") == 0)
    metadata.wrong("{arch}.attention.causal", "true");
  if (!metadata.find("{arch}.attention.layer_norm_rms_epsilon"))
    metadata.wrong("{arch}.attention.layer_norm_rms_epsilon", "a number between 0 and 1");
}

// Without a type a factor is linear, as in llama.cpp; so is scale_linear, its older name.
std::string rope_scaling(const Metadata& metadata) {
  const GgufValue* type = metadata.find("{arch}.rope.scaling.type");
  if (type && !type->is_string()) metadata.wrong("{arch}.rope.scaling.type", "a string");
  const std::string_view name = type ? type->string() : "linear";
  if (name == "none") return "";
  if (name != "linear") metadata.wrong("{arch}.rope.scaling.type", "none or linear");
  const char* key =
      metadata.find("{arch}.rope.scaling.factor") ? "{arch}.rope.scaling.factor" : "{arch}.rope.scale_linear";
  if (metadata.amount(key) == 0) return "";
  return R"(,"rope_scaling":{"type":"linear","factor":)" + to_json(*metadata.number(key)) + "}";
}

std::string vocabulary_size(const Metadata& metadata) {
  const GgufValue* tokens = metadata.find(kTokens);
  if (!tokens) {
    const GgufValue* size = metadata.number("{arch}.vocab_size");
    if (!size) metadata.wrong(kTokens, "an array of strings");
    return to_json(*size);
  }
  if (!tokens->is_array || tokens->type != GgufType::String) metadata.wrong(kTokens, "an array of strings");
  return concat(tokens->n);
}

// config.json as Hugging Face would have it.
std::string config_json(const Metadata& metadata) {
  const bool qwen2 = metadata.architecture == "qwen2", window = metadata.amount("{arch}.attention.sliding_window") != 0;
  std::string json = R"({"architectures":[")";
  json += qwen2 ? "Qwen2ForCausalLM" : window ? "MistralForCausalLM" : "LlamaForCausalLM";
  json += "\"],\"vocab_size\":" + vocabulary_size(metadata);
  for (const Key& key : kKeys) {
    const GgufValue* value = metadata.number(key.theirs);
    if (!value || (std::string_view(key.ours) == "sliding_window" && !window)) continue;
    json += concat(",\"", key.ours, "\":", to_json(*value));
  }
  // Of Qwen2 every layer has the window.
  if (qwen2 && window) json += R"(,"use_sliding_window":true,"max_window_layers":0)";
  return json + rope_scaling(metadata) + "}";
}

// Heads of another size than those that are rotated, or whose values have another.
void check_head_dim(const Metadata& metadata, const ModelConfig& config) {
  for (const char* key : {"{arch}.rope.dimension_count", "{arch}.attention.value_length"})
    if (metadata.find(key) && metadata.amount(key) != config.head_dim)
      metadata.wrong(key, config.head_dim, ", the size of a head");
}

}  // namespace

ModelConfig gguf_config(const GgufContents& contents, const std::string& path) {
  const Metadata metadata(contents, path);
  reject_unsupported(metadata, contents);
  const auto names = [&](std::string_view key) -> std::string {
    for (const Key& known : kKeys)
      if (key == known.ours) return metadata.spelled(known.theirs);
    if (key == "vocab_size") return kTokens;
    if (key == "factor") return metadata.spelled("{arch}.rope.scaling.factor");
    return metadata.spelled("{arch}.rope.scaling");
  };
  const ModelConfig config = parse_config(config_json(metadata), path, names);
  check_head_dim(metadata, config);
  return config;
}

bool has_paired_rows(const GgufContents& contents) {
  const GgufValue* name = contents.find("general.architecture");
  return name && name->is_string() && name->string() == "llama";
}

}  // namespace gattling
