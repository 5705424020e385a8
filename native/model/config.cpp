#include "model/config.h"

#include <algorithm>
#include <array>

#include "backend/error.h"
#include "model/fields.h"
#include "model/mapped_file.h"

namespace gattling {
namespace {

constexpr size_t kMaxFile = 16 << 20;

// Bounds that keep every product of two sizes far from overflow; no model comes near them.
constexpr int64_t kMaxWidth = 1 << 20;
constexpr int64_t kMaxLayers = 1 << 10;
constexpr int64_t kMaxVocab = 1 << 24;
constexpr int64_t kMaxPosition = 1 << 28;
constexpr int kMinHeadDim = 8, kMaxHeadDim = 256;

struct Architecture {
  const char* name;
  const char* alias;  // how early files spell it
  const char* model_type;
  int max_position;    // when the config has none
  int sliding_window;  // the same
};

// Defaults of transformers' LlamaConfig, MistralConfig and Qwen2Config.
constexpr std::array kArchitectures = {
    Architecture{"LlamaForCausalLM", "LLaMAForCausalLM", "llama", 2048, 0},
    Architecture{"MistralForCausalLM", "", "mistral", 131072, 4096},
    Architecture{"Qwen2ForCausalLM", "", "qwen2", 32768, 4096},
};

const Architecture& architecture_of(const Fields& fields) {
  constexpr const char* kSupported = "LlamaForCausalLM, MistralForCausalLM or Qwen2ForCausalLM";
  const Json* names = fields.find("architectures");
  if (!names) {
    const std::string type = fields.string("model_type", "");
    for (const Architecture& known : kArchitectures)
      if (type == known.model_type) return known;
    check(type.empty(), fields.source(), ": models of the type ", in_quotes(type), " are not supported; expected is ",
          kSupported);
    fields.wrong("architectures", "a list that names ", kSupported);
  }
  if (!names->is_array() || names->array().empty() || !names->array()[0].is_string())
    fields.wrong("architectures", "a list that names ", kSupported);
  const std::string& name = names->array()[0].string();
  for (const Architecture& known : kArchitectures)
    if (name == known.name || name == known.alias) return known;
  fail(fields.source(), ": the architecture ", in_quotes(name), " is not supported; expected is ", kSupported);
}

std::optional<DType> dtype_of(const Fields& fields) {
  const char* key = fields.find("dtype") ? "dtype" : "torch_dtype";
  std::string name = fields.string(key, "auto");
  if (name.starts_with("torch.")) name.erase(0, 6);
  if (name == "auto") return std::nullopt;
  for (DType dtype : {DType::F32, DType::BF16, DType::F16})
    if (name == name_of(dtype)) return dtype;
  fields.wrong(key, "float32, bfloat16 or float16");
}

// A null switches the window off, which an absent key does not.
int window_of(const Fields& fields, int absent) {
  return fields.is_null("sliding_window") ? 0 : fields.integer("sliding_window", kMaxPosition, absent);
}

// Every layer must see the same window: Qwen2 may give one to its layers from max_window_layers on only.
int qwen2_window(const Fields& fields, int n_layers, int absent) {
  if (!fields.boolean("use_sliding_window", false)) return 0;
  int n_sliding = 0;
  if (const Json* types = fields.find("layer_types")) {
    if (!types->is_array() || types->array().size() != static_cast<size_t>(n_layers))
      fields.wrong("layer_types", "a list of one string per layer");
    for (const Json& type : types->array()) n_sliding += type.is_string() && type.string() == "sliding_attention";
  } else {
    const Json* from = fields.find("max_window_layers");
    if (from && (!from->is_integer() || from->integer() < 0)) fields.wrong("max_window_layers", "an integer from 0");
    n_sliding = n_layers - static_cast<int>(std::min<int64_t>(from ? from->integer() : 28, n_layers));
  }
  const int window = window_of(fields, absent);
  if (n_sliding == 0 || window == 0) return 0;
  check(n_sliding == n_layers, fields.source(), ": ", n_sliding, " of ", n_layers,
        " layers have a sliding window; supported is a window on all layers or on none");
  return window;
}

RopeConfig rope_of(const Fields& fields) {
  RopeConfig rope;
  rope.theta = fields.number("rope_theta", rope.theta);
  const char* key = fields.find("rope_parameters") ? "rope_parameters" : "rope_scaling";
  const Json* object = fields.find(key);
  if (!object) return rope;
  if (!object->is_object()) fields.wrong(key, "an object");

  const std::string source = concat(fields.source(), ", in \"", fields.name(key), '"');
  const Fields scaling(source, *object, fields.names());
  const std::string type = scaling.string("rope_type", scaling.string("type", "default"));
  rope.theta = scaling.number("rope_theta", rope.theta);
  if (scaling.number("partial_rotary_factor", 1) != 1) scaling.wrong("partial_rotary_factor", "1");
  if (type == "default") return rope;
  check(type == "linear" || type == "llama3", source, ": the RoPE type ", in_quotes(type),
        " is not supported; expected is default, linear or llama3");
  rope.factor = scaling.number("factor");
  if (type == "linear") return rope.type = RopeType::Linear, rope;

  rope.type = RopeType::Llama3;
  rope.low_freq_factor = scaling.number("low_freq_factor");
  rope.high_freq_factor = scaling.number("high_freq_factor");
  if (rope.low_freq_factor >= rope.high_freq_factor) scaling.wrong("low_freq_factor", "less than high_freq_factor");
  const bool nested =
      scaling.find("original_max_position_embeddings") || !fields.find("original_max_position_embeddings");
  rope.original_max_position = (nested ? scaling : fields).number("original_max_position_embeddings");
  return rope;
}

void read_heads(const Fields& fields, ModelConfig& config) {
  config.n_heads = fields.integer("num_attention_heads", kMaxWidth / kMaxHeadDim);
  config.n_kv_heads = fields.integer("num_key_value_heads", kMaxWidth / kMaxHeadDim, config.n_heads);
  if (config.n_heads % config.n_kv_heads != 0)
    fields.wrong("num_key_value_heads", "a divisor of ", fields.name("num_attention_heads"), " (", config.n_heads, ")");
  if (!fields.find("head_dim") && config.hidden_size % config.n_heads != 0)
    fields.wrong("hidden_size", "a multiple of ", fields.name("num_attention_heads"), " (", config.n_heads, "), or a ",
                 fields.name("head_dim"));
  config.head_dim = fields.integer("head_dim", kMaxWidth, config.hidden_size / config.n_heads);
  check(config.head_dim >= kMinHeadDim && config.head_dim <= kMaxHeadDim && config.head_dim % 2 == 0, fields.source(),
        ": a head has ", config.head_dim, " dimensions; expected is an even number from ", kMinHeadDim, " to ",
        kMaxHeadDim);
}

// What would change the arithmetic and is not built.
void reject_unsupported(const Fields& fields) {
  if (fields.boolean("mlp_bias", false)) fields.wrong("mlp_bias", "false");
  if (fields.string("hidden_act", "silu") != "silu") fields.wrong("hidden_act", "silu");
  if (fields.number("partial_rotary_factor", 1) != 1) fields.wrong("partial_rotary_factor", "1");
}

}  // namespace

ModelConfig parse_config(std::string_view text, const std::string& source, const KeyNames& names) {
  const Json json = Json::parse(text, source);
  check(json.is_object(), source, " must hold an object, not ", json.describe());
  const Fields fields(source, json, names);
  const Architecture& architecture = architecture_of(fields);
  reject_unsupported(fields);

  ModelConfig config;
  config.architecture = architecture.name;
  const bool qwen2 = config.architecture == "Qwen2ForCausalLM", llama = config.architecture == "LlamaForCausalLM";
  config.hidden_size = fields.integer("hidden_size", kMaxWidth);
  config.n_layers = fields.integer("num_hidden_layers", kMaxLayers);
  config.ffn_size = fields.integer("intermediate_size", kMaxWidth);
  config.vocab_size = fields.integer("vocab_size", kMaxVocab);
  read_heads(fields, config);
  // LLaMA 1 called it max_sequence_length.
  const char* length = fields.find("max_position_embeddings") ? "max_position_embeddings" : "max_sequence_length";
  config.max_position = fields.integer(length, kMaxPosition, architecture.max_position);
  if (!llama) {
    const int absent = architecture.sliding_window;
    config.sliding_window = qwen2 ? qwen2_window(fields, config.n_layers, absent) : window_of(fields, absent);
  }
  config.rms_eps = static_cast<float>(fields.number("rms_norm_eps", 1e-6));
  if (!(config.rms_eps > 0 && config.rms_eps < 1)) fields.wrong("rms_norm_eps", "a number between 0 and 1");
  config.tie_embeddings = fields.boolean("tie_word_embeddings", false);
  config.attn_out_bias = llama && fields.boolean("attention_bias", false);
  config.qkv_bias = qwen2 || config.attn_out_bias;
  config.dtype = dtype_of(fields);
  config.rope = rope_of(fields);
  config.bos_ids = fields.ids("bos_token_id", kMaxVocab);
  config.eos_ids = fields.ids("eos_token_id", kMaxVocab);
  return config;
}

ModelConfig load_config(const std::string& folder) {
  const MappedFile file(folder + "/config.json", kMaxFile);
  return parse_config(file.text(), file.path());
}

}  // namespace gattling
