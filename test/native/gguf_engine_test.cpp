// Whole models out of GGUF files: what they compute is what the same weights do out of a folder.
#include <algorithm>
#include <cmath>
#include <random>

#include "backend/half.h"
#include "gguf_bytes.h"
#include "greedy.h"
#include "model/checkpoint.h"
#include "model/gguf_types.h"
#include "model/rope.h"
#include "model/weights.h"
#include "models.h"
#include "test.h"
#include "tiny_model.h"

using namespace gattling;
using test::GgufBytes;
using test::greedy;
using test::prompt_of;
using Told = test::Caller::Told;

namespace {

constexpr uint32_t kF32 = 0;

// llama.cpp's name of a tensor.
std::string gguf_name(std::string name) {
  const std::pair<const char*, const char*> table[] = {
      {"model.layers.", "blk."},        {"model.embed_tokens", "token_embd"},
      {"model.norm", "output_norm"},    {"lm_head", "output"},
      {"self_attn.q_proj", "attn_q"},   {"self_attn.k_proj", "attn_k"},
      {"self_attn.v_proj", "attn_v"},   {"self_attn.o_proj", "attn_output"},
      {"input_layernorm", "attn_norm"}, {"post_attention_layernorm", "ffn_norm"},
      {"mlp.gate_proj", "ffn_gate"},    {"mlp.up_proj", "ffn_up"},
      {"mlp.down_proj", "ffn_down"},
  };
  for (const auto& [ours, theirs] : table)
    if (const size_t at = name.find(ours); at != name.npos) name.replace(at, std::strlen(ours), theirs);
  return name;
}

// Metadata as llama.cpp's converter writes it.
GgufBytes metadata_of(const ModelConfig& config) {
  const bool qwen2 = config.architecture == "Qwen2ForCausalLM";
  const std::string a = qwen2 ? "qwen2." : "llama.";
  GgufBytes file;
  file.string("general.architecture", qwen2 ? "qwen2" : "llama");
  file.u32(a + "block_count", static_cast<uint32_t>(config.n_layers));
  file.u32(a + "embedding_length", static_cast<uint32_t>(config.hidden_size));
  file.u32(a + "feed_forward_length", static_cast<uint32_t>(config.ffn_size));
  file.u32(a + "context_length", static_cast<uint32_t>(config.max_position));
  file.u32(a + "attention.head_count", static_cast<uint32_t>(config.n_heads));
  file.u32(a + "attention.head_count_kv", static_cast<uint32_t>(config.n_kv_heads));
  file.u32(a + "attention.key_length", static_cast<uint32_t>(config.head_dim));
  file.u32(a + "vocab_size", static_cast<uint32_t>(config.vocab_size));
  file.f32(a + "attention.layer_norm_rms_epsilon", config.rms_eps);
  file.f32(a + "rope.freq_base", static_cast<float>(config.rope.theta));
  if (config.sliding_window) file.u32(a + "attention.sliding_window", static_cast<uint32_t>(config.sliding_window));
  if (config.rope.type == RopeType::Linear) {
    file.string(a + "rope.scaling.type", "linear");
    file.f32(a + "rope.scaling.factor", static_cast<float>(config.rope.factor));
  }
  return file;
}

// Rows of a tensor as llama.cpp stores them: of Q and K of llama, (2, half) of each head becomes (half, 2).
std::string rows_of(const HostTensor& tensor, const std::string& name, const ModelConfig& config) {
  const auto* from = reinterpret_cast<const char*>(tensor.data);
  const std::string bytes(from, tensor.bytes());
  const bool paired = config.architecture != "Qwen2ForCausalLM" &&
                      (name.find("q_proj") != name.npos || name.find("k_proj") != name.npos);
  if (!paired) return bytes;
  const int64_t half = config.head_dim / 2;
  const size_t row = bytes.size() / static_cast<size_t>(tensor.shape[0]);
  std::string out;
  for (int64_t head = 0; head < tensor.shape[0] / config.head_dim; ++head)
    for (int64_t i = 0; i < half; ++i)
      for (int64_t which = 0; which < 2; ++which)
        out += bytes.substr(static_cast<size_t>((head * 2 + which) * half + i) * row, row);
  return out;
}

// The model of a folder as a GGUF file. Norms and biases may be stored wider than they are, as converters do.
std::string convert(const std::string& folder) {
  const ModelConfig config = load_config(folder);
  Checkpoint checkpoint = Checkpoint::open(folder);
  GgufBytes file = metadata_of(config);
  if (config.rope.type == RopeType::Llama3) {
    const std::vector<float> scaled = inv_freq(config.rope, config.head_dim);
    const std::vector<float> plain = inv_freq({RopeType::Default, config.rope.theta}, config.head_dim);
    std::string factors;
    for (size_t i = 0; i < plain.size(); ++i) factors += test::number<float>(plain[i] / scaled[i]);
    file.tensor("rope_freqs.weight", {plain.size()}, kF32, factors);
  }
  for (const TensorSpec& spec : tensor_specs(config)) {
    const HostTensor& tensor = checkpoint.get(spec.name, spec.shape);
    const uint32_t type = tensor.dtype == DType::F32 ? 0 : tensor.dtype == DType::F16 ? 1 : 30;
    const std::string bytes = rows_of(tensor, spec.name, config), name = gguf_name(spec.name);
    if (spec.shape.size() == 1)
      file.tensor(name, {static_cast<uint64_t>(spec.shape[0])}, type, bytes);
    else
      file.tensor(name, {static_cast<uint64_t>(spec.shape[1]), static_cast<uint64_t>(spec.shape[0])}, type, bytes);
  }
  return file.bytes();
}

bool same(const std::vector<test::Caller::Scored>& a, const std::vector<test::Caller::Scored>& b) {
  return a == b;
}

}  // namespace

TEST(reference_models_are_the_same_bits) {
  const test::TempFolder out;
  for (const char* name : {"mha-rope10k", "mqa-f16"}) {
    const std::string folder = test::fixture(name), path = out.write("m.gguf", convert(folder));
    for (const std::optional<DType> dtype : {std::optional<DType>(), std::optional(DType::F32)}) {
      const Told a = greedy(folder, dtype, prompt_of(512)), b = greedy(path, dtype, prompt_of(512));
      CHECK(a.tokens == b.tokens && same(a.scored, b.scored) && same(a.prompt_scored, b.prompt_scored));
    }
  }
}

// Llama 3.1: factors, rounded to fp32, in place of the rule that they came from.
TEST(llama3_rope_out_of_factors) {
  const test::TempFolder out;
  const std::string folder = test::fixture("gqa-llama3rope-tied"), path = out.write("m.gguf", convert(folder));
  const Told a = greedy(folder, DType::F32, prompt_of(512)), b = greedy(path, DType::F32, prompt_of(512));
  CHECK(a.tokens == b.tokens);
  float worst = 0;
  for (size_t i = 0; i < a.prompt_scored.size(); ++i)
    worst = std::max(worst, std::abs(a.prompt_scored[i].logprob - b.prompt_scored[i].logprob));
  CHECK(worst < 1e-4f);
}

TEST(other_shapes_are_the_same_bits) {
  const test::TinyModel models[] = {
      {"biases", 64, 96, 2, 4, 2, 16, 90, {.bias = true}},
      {"tied, linear", 64, 96, 2, 4, 4, 16, 90, {.tied = true, .rope = {RopeType::Linear, 5000, 2.5}}},
      {"window", 64, 96, 2, 4, 2, 16, 90, {.architecture = "MistralForCausalLM", .window = 7}},
      {"qwen2", 64, 96, 2, 4, 2, 16, 90, {.architecture = "Qwen2ForCausalLM", .tied = true}},
      {"head dim", 48, 64, 1, 3, 1, 40, 90, {.storage = DType::BF16}},
  };
  for (const test::TinyModel& model : models) {
    const test::TempFolder folder;
    test::write(model, folder);
    const std::string path = folder.write("m.gguf", convert(folder.path));
    const Told a = greedy(folder.path, DType::F32, prompt_of(90)), b = greedy(path, DType::F32, prompt_of(90));
    CHECK(a.tokens == b.tokens && same(a.scored, b.scored) && same(a.prompt_scored, b.prompt_scored));
  }
}

namespace {

// Random blocks of a type whose values have a deviation of about 0.05.
std::string random_blocks(uint32_t type, int64_t n, std::mt19937& random) {
  const GgmlBlock& block = *ggml_block(type);
  // Where the block's fp16 numbers lie, and what they are: the scale of bytes, of nibbles, of factors up to 63.
  struct Half {
    size_t at;
    float value;
  };
  std::vector<Half> halves;
  switch (static_cast<GgmlType>(type)) {
    case GgmlType::Q8_0:
      halves = {{0, 0.0007f}};
      break;
    case GgmlType::Q4_0:
      halves = {{0, 0.01f}};
      break;
    case GgmlType::Q5_1:
      halves = {{0, 0.005f}, {2, -0.08f}};
      break;
    case GgmlType::Q4_K:
      halves = {{0, 0.0004f}, {2, 0.003f}};
      break;
    default:  // Q6_K
      halves = {{208, 0.00004f}};
  }
  std::string out;
  for (int64_t i = 0; i < n / block.elements; ++i) {
    std::string bytes;
    while (bytes.size() < static_cast<size_t>(block.bytes)) bytes += static_cast<char>(random());
    for (const Half& half : halves) {
      f16 bits;
      narrow(half.value, bits);
      bytes.replace(half.at, 2, test::number<uint16_t>(bits.bits));
    }
    out += bytes;
  }
  return out;
}

// The same tensors as plain fp32 in the same order.
std::string dequantised(const std::string& path) {
  const ModelConfig config = Checkpoint::open(path).config();
  Checkpoint checkpoint = Checkpoint::open(path);
  GgufBytes file = metadata_of(config);
  for (const TensorSpec& spec : tensor_specs(config)) {
    const HostTensor& tensor = checkpoint.get(spec.name, spec.shape);
    const int64_t rows = spec.shape[0], columns = spec.shape.size() == 2 ? spec.shape[1] : 0;
    if (!tensor.quantised) {
      const std::string bytes(reinterpret_cast<const char*>(tensor.data), tensor.bytes());
      file.tensor(gguf_name(spec.name), {static_cast<uint64_t>(rows)}, kF32, bytes);
      continue;
    }
    const int64_t group = tensor.quantised->group(), n = columns / group;
    std::vector<int8_t> q(columns);
    std::vector<float> scales(n), offsets(n);
    std::string bytes;
    for (int64_t row = 0; row < rows; ++row) {
      tensor.quantised->read(row, 0, n, q.data(), scales.data(), offsets.data());
      for (int64_t c = 0; c < columns; ++c) bytes += test::number<float>(scales[c / group] * q[c] + offsets[c / group]);
    }
    file.tensor(gguf_name(spec.name), {static_cast<uint64_t>(columns), static_cast<uint64_t>(rows)}, kF32, bytes);
  }
  return file.bytes();
}

// One layer, rows of 256, matrices of the given types in turn.
std::string quantised_model(const std::vector<GgmlType>& types) {
  ModelConfig config;
  config.architecture = "LlamaForCausalLM";
  config.hidden_size = config.ffn_size = config.vocab_size = 256;
  config.n_layers = 1;
  config.n_heads = 8;
  config.n_kv_heads = 4;
  config.head_dim = 32;
  config.max_position = 128;
  config.rms_eps = 1e-5f;
  GgufBytes file = metadata_of(config);
  std::mt19937 random(7);
  size_t i = 0;
  for (const TensorSpec& spec : tensor_specs(config)) {
    const auto rows = static_cast<uint64_t>(spec.shape[0]);
    if (spec.shape.size() == 1) {
      std::string ones;
      for (uint64_t r = 0; r < rows; ++r) ones += test::number<float>(1);
      file.tensor(gguf_name(spec.name), {rows}, kF32, ones);
      continue;
    }
    const auto type = static_cast<uint32_t>(types[i++ % types.size()]);
    file.tensor(gguf_name(spec.name), {256, rows}, type, random_blocks(type, spec.shape[0] * 256, random));
  }
  return file.bytes();
}

}  // namespace

// Integers in the kernels, with rounded activations, against plain fp32: the same model but for that rounding.
TEST(quantised_types_compute_what_their_values_do) {
  const test::TempFolder folder;
  const std::vector<GgmlType> mixes[] = {{GgmlType::Q8_0},
                                         {GgmlType::Q4_0},
                                         {GgmlType::Q4_K, GgmlType::Q6_K, GgmlType::Q5_1},
                                         {GgmlType::Q6_K, GgmlType::Q4_0, GgmlType::Q8_0, GgmlType::Q4_K}};
  for (const auto& types : mixes) {
    const std::string ints = folder.write("q.gguf", quantised_model(types));
    const std::string plain = folder.write("f.gguf", dequantised(ints));
    const Told a = greedy(ints, std::nullopt, prompt_of(256)), b = greedy(plain, DType::F32, prompt_of(256));
    double sum = 0, spread = 0;
    for (size_t i = 0; i < a.prompt_scored.size(); ++i) {
      sum += std::abs(a.prompt_scored[i].logprob - b.prompt_scored[i].logprob);
      spread += std::abs(b.prompt_scored[i].logprob + std::log(256.0f));
    }
    std::printf("%s ..: mean distance %.4f, of %.2f that the scores differ from chance\n",
                ggml_block(static_cast<uint32_t>(types[0]))->name, sum / a.prompt_scored.size(),
                spread / a.prompt_scored.size());
    CHECK(sum < 0.05 * spread);
  }
}

// A real model that llama.cpp's converter wrote, and what transformers generated from its safetensors.
TEST(stories260K_from_either_file) {
  const std::string folder = std::string(GATTLING_SOURCE_DIR) + "/../shared/refs/stories260K";
  if (!std::filesystem::exists(folder + "/stories260K-f32.gguf")) {
    std::printf("skipped: %s is not there\n", folder.c_str());
    return;
  }
  const Json file = test::read_json(folder + "/reference_greedy.json");
  for (const std::string& path : {folder, folder + "/stories260K-f32.gguf"})
    for (const Json& c : file.at("cases").array()) {
      const std::vector<int32_t> expected = test::ids_of(c.at("generated_ids"));
      CHECK(greedy(path, std::nullopt, test::ids_of(c.at("prompt_ids")), static_cast<int>(expected.size())).tokens ==
            expected);
    }
}
