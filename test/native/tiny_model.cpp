#define GATTLING_TEST_NO_MAIN
#include "tiny_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "backend/error.h"
#include "model/weights.h"

namespace test {

using namespace gattling;

namespace {

std::string rope_type(const RopeConfig& rope) {
  std::string type = rope.type == RopeType::Llama3 ? R"("rope_type":"llama3")" : R"("rope_type":"linear")";
  if (rope.type == RopeType::Default) return R"("rope_type":"default")";
  type += concat(",\"factor\":", rope.factor);
  if (rope.type == RopeType::Linear) return type;
  return concat(type, ",\"low_freq_factor\":", rope.low_freq_factor, ",\"high_freq_factor\":", rope.high_freq_factor,
                ",\"original_max_position_embeddings\":", rope.original_max_position);
}

std::string config_json(const TinyModel& m) {
  const bool qwen2 = m.traits.architecture == std::string("Qwen2ForCausalLM"), llama = m.traits.architecture[0] == 'L';
  const std::string theta = concat("\"rope_theta\":", m.traits.rope.theta);
  std::string json = concat("{\"architectures\":[\"", m.traits.architecture, "\"],\"hidden_size\":", m.hidden,
                            ",\"intermediate_size\":", m.ffn, ",\"num_hidden_layers\":", m.n_layers,
                            ",\"num_attention_heads\":", m.n_heads, ",\"vocab_size\":", m.vocab,
                            ",\"max_position_embeddings\":", kTinyMaxPosition, ",\"rms_norm_eps\":", m.traits.eps);
  if (!m.traits.old_keys || m.n_kv_heads != m.n_heads) json += concat(",\"num_key_value_heads\":", m.n_kv_heads);
  if (!m.traits.old_keys || m.head_dim * m.n_heads != m.hidden) json += concat(",\"head_dim\":", m.head_dim);
  if (!m.traits.old_keys || m.traits.tied)
    json += concat(",\"tie_word_embeddings\":", m.traits.tied ? "true" : "false");
  json += concat(m.traits.old_keys ? ",\"torch_dtype\":\"" : ",\"dtype\":\"", name_of(m.traits.storage), '"');
  if (!m.traits.old_keys)
    json += concat(",\"rope_parameters\":{", theta, ',', rope_type(m.traits.rope), '}');
  else if (m.traits.rope.type != RopeType::Default)
    json += concat(',', theta, ",\"rope_scaling\":{", rope_type(m.traits.rope), '}');
  else
    json += concat(',', theta, ",\"rope_scaling\":null");
  if (llama) json += concat(",\"attention_bias\":", m.traits.bias ? "true" : "false");
  if (!llama)
    json += m.traits.window > 0 ? concat(",\"sliding_window\":", m.traits.window) : ",\"sliding_window\":null";
  if (qwen2) json += concat(",\"max_window_layers\":0,\"use_sliding_window\":", m.traits.window > 0 ? "true" : "false");
  return json + "}";
}

// Appends a number in its storage type: f32 and f16 rounded to nearest, bf16 towards zero.
void append(std::string& bytes, double value, DType dtype) {
  const float single = static_cast<float>(value);
  uint32_t bits;
  std::memcpy(&bits, &single, 4);
  if (dtype == DType::BF16) bits >>= 16;
  if (dtype == DType::F16) {
    const int exponent = value == 0 ? -14 : std::max(std::ilogb(value), -14);  // below 2^-14 the step stays 2^-24
    const auto mantissa = static_cast<uint32_t>(std::nearbyint(std::ldexp(std::abs(value), 10 - exponent)));
    bits = (value < 0 ? 0x8000 : 0) | ((static_cast<uint32_t>(exponent + 14) << 10) + mantissa);
  }
  for (size_t i = 0; i < size_of(dtype); ++i) bytes += static_cast<char>(bits >> (8 * i));
}

std::string random_bytes(const TensorSpec& tensor, DType dtype, std::mt19937& random) {
  const auto is = [&](const char* part) { return tensor.name.find(part) != tensor.name.npos; };
  // Queries and keys are such that scores have a deviation of about 3.
  const double gain = is("q_proj") || is("k_proj") ? 1.7 : is("lm_head") ? 2 : 1;
  const double deviation =
      is("embed_tokens") || is(".bias") ? 0.7 : gain / std::sqrt(static_cast<double>(tensor.shape.back()));
  std::normal_distribution<double> normal(0, deviation);
  std::uniform_real_distribution<double> around_one(0.5, 1.5);
  int64_t n = 1;
  for (int64_t extent : tensor.shape) n *= extent;
  std::string bytes;
  for (int64_t i = 0; i < n; ++i) append(bytes, is("norm.weight") ? around_one(random) : normal(random), dtype);
  return bytes;
}

struct Shard {
  std::string header, data;
};

void add(Shard& shard, const TensorSpec& tensor, DType dtype, const std::string& bytes) {
  std::string shape;
  for (int64_t extent : tensor.shape) shape += concat(shape.empty() ? "" : ",", extent);
  shard.header += concat(shard.header.empty() ? "{\"" : ",\"", tensor.name, "\":{\"dtype\":\"",
                         dtype == DType::F32    ? "F32"
                         : dtype == DType::BF16 ? "BF16"
                                                : "F16",
                         "\",\"shape\":[", shape, "],\"data_offsets\":[", shard.data.size(), ',',
                         shard.data.size() + bytes.size(), "]}");
  shard.data += bytes;
}

}  // namespace

ModelConfig config_of(const TinyModel& m) {
  ModelConfig config;
  config.architecture = m.traits.architecture;
  config.hidden_size = m.hidden;
  config.n_layers = m.n_layers;
  config.n_heads = m.n_heads;
  config.n_kv_heads = m.n_kv_heads;
  config.head_dim = m.head_dim;
  config.ffn_size = m.ffn;
  config.vocab_size = m.vocab;
  config.max_position = kTinyMaxPosition;
  config.sliding_window = m.traits.window;
  config.rms_eps = static_cast<float>(m.traits.eps);
  config.tie_embeddings = m.traits.tied;
  config.qkv_bias = m.traits.bias || config.architecture == "Qwen2ForCausalLM";
  config.attn_out_bias = m.traits.bias;
  config.dtype = m.traits.storage;
  config.rope = m.traits.rope;
  return config;
}

void write(const TinyModel& model, const TempFolder& folder) {
  folder.write("config.json", config_json(model));
  std::mt19937 random(static_cast<uint32_t>(model.hidden * 1009 + model.vocab));
  // Tensors go round the shards, so that the parts of one packed weight lie in different files.
  std::vector<Shard> shards(model.traits.n_shards);
  const auto file_of = [&](size_t i) {
    return model.traits.n_shards == 1 ? "model.safetensors"
                                      : concat("model-", i + 1, "-of-", model.traits.n_shards, ".safetensors");
  };
  std::string map;
  size_t next = 0;
  for (const TensorSpec& tensor : tensor_specs(config_of(model))) {
    const DType dtype = model.traits.mixed && next % 2 ? DType::F32 : model.traits.storage;
    const size_t at = next++ % shards.size();
    add(shards[at], tensor, dtype, random_bytes(tensor, dtype, random));
    map += concat(map.empty() ? "\"" : ",\"", tensor.name, "\":\"", file_of(at), '"');
  }
  for (size_t i = 0; i < shards.size(); ++i)
    folder.write(file_of(i), safetensors(shards[i].header + "}", shards[i].data));
  if (model.traits.n_shards > 1) folder.write("model.safetensors.index.json", "{\"weight_map\":{" + map + "}}");
}

}  // namespace test
