// A GGUF file's metadata as a model's config.
#include "model/gguf_config.h"

#include <cmath>

#include "backend/error.h"
#include "gguf_bytes.h"
#include "test.h"

using namespace gattling;
using test::GgufBytes;
using test::number;
using test::small_llama;

namespace {

// A small llama without one key.
GgufBytes without(const std::string& key) {
  const std::string bytes = small_llama().bytes();
  const GgufContents contents = parse_gguf(std::as_bytes(std::span(bytes)), "f");
  GgufBytes file;
  for (const GgufField& field : contents.metadata) {
    if (field.key == key) continue;
    const std::string data(reinterpret_cast<const char*>(field.value.data.data()), field.value.data.size());
    const auto type = static_cast<uint32_t>(field.value.type);
    if (field.value.is_array)
      file.array(std::string(field.key), type, field.value.n, data);
    else
      file.field(std::string(field.key), type, data);
  }
  return file;
}

ModelConfig config_of(const GgufBytes& file) {
  const std::string bytes = file.bytes();
  return gguf_config(parse_gguf(std::as_bytes(std::span(bytes)), "f.gguf"), "f.gguf");
}

}  // namespace

TEST(metadata_as_config) {
  const ModelConfig plain = config_of(small_llama());
  CHECK(plain.architecture == "LlamaForCausalLM" && plain.n_kv_heads == 4 && plain.head_dim == 8);
  CHECK(plain.vocab_size == 3 && plain.rope.theta == 10000 && plain.rope.type == RopeType::Default);
  const auto linear = [](GgufBytes file) { return config_of(file).rope; };
  CHECK(linear(small_llama().string("llama.rope.scaling.type", "linear").f32("llama.rope.scaling.factor", 4)).factor ==
        4);
  CHECK(linear(small_llama().f32("llama.rope.scaling.factor", 2)).type == RopeType::Linear);
  CHECK(linear(small_llama().f32("llama.rope.scale_linear", 8)).factor == 8);
  CHECK(linear(small_llama().f32("llama.rope.scaling.factor", 0)).type == RopeType::Default);
  CHECK(linear(small_llama().string("llama.rope.scaling.type", "none").f32("llama.rope.scaling.factor", 4)).type ==
        RopeType::Default);
  CHECK(config_of(small_llama().u32("llama.attention.sliding_window", 0)).architecture == "LlamaForCausalLM");
  CHECK(config_of(small_llama().u32("llama.attention.key_length", 16)).head_dim == 16);
  CHECK(config_of(small_llama().field("llama.attention.head_count_kv", 5, number<int32_t>(2))).n_kv_heads == 2);
  CHECK(config_of(without("tokenizer.ggml.tokens").u32("llama.vocab_size", 7)).vocab_size == 7);
  CHECK(config_of(without("llama.context_length")).max_position == 2048);
}

TEST(other_architectures_are_named) {
  GgufBytes gemma = without("general.architecture").string("general.architecture", "gemma3");
  THROWS("f.gguf: the architecture \"gemma3\" is not supported; expected is llama (also for Mistral) or qwen2",
         config_of(gemma));
  THROWS("\"general.architecture\" is missing; expected is llama or qwen2", config_of(without("general.architecture")));
  THROWS("\"general.architecture\" is 7;", config_of(without("general.architecture").u32("general.architecture", 7)));
}

TEST(zero_heads) {
  const auto heads = [](uint32_t n_heads, uint32_t n_kv_heads) {
    return config_of(without("llama.attention.head_count")
                         .u32("llama.attention.head_count", n_heads)
                         .u32("llama.attention.head_count_kv", n_kv_heads));
  };
  CHECK(heads(4, 2).n_kv_heads == 2);
  THROWS("f.gguf: \"llama.attention.head_count\" is 0; expected is an integer from 1 to", heads(0, 0));
  THROWS("f.gguf: \"llama.attention.head_count_kv\" is 0; expected is an integer from 1 to", heads(4, 0));
  THROWS("\"llama.attention.head_count_kv\" is 3; expected is a divisor of llama.attention.head_count (4)",
         heads(4, 3));
  THROWS("expected is a multiple of llama.attention.head_count (5), or a llama.attention.key_length", heads(5, 5));
}

TEST(hostile_metadata) {
  const auto with = [](const char* key) { return without(key); };
  const std::tuple<const char*, GgufBytes> table[] = {
      {"\"llama.block_count\" is 0; expected is an integer from 1 to",
       with("llama.block_count").u32("llama.block_count", 0)},
      {"\"llama.block_count\" is 4294967295;", with("llama.block_count").u32("llama.block_count", UINT32_MAX)},
      {"\"llama.block_count\" is missing;", with("llama.block_count")},
      {"\"llama.block_count\" is 1.5;", with("llama.block_count").f32("llama.block_count", 1.5f)},
      {"\"llama.block_count\" is the string \"nan\"", with("llama.block_count").f32("llama.block_count", NAN)},
      {"\"llama.block_count\" is the string \"1\"; expected is a number",
       with("llama.block_count").string("llama.block_count", "1")},
      {"\"llama.embedding_length\" is -1;",
       with("llama.embedding_length").field("llama.embedding_length", 5, number<int32_t>(-1))},
      {"\"llama.embedding_length\" is 1.84467e+19;",
       with("llama.embedding_length").field("llama.embedding_length", 10, number<uint64_t>(UINT64_MAX))},
      {"\"llama.feed_forward_length\" is an array of 2 uint32; expected is a number",
       with("llama.feed_forward_length").array("llama.feed_forward_length", 4, 2, std::string(8, '\1'))},
      {"\"llama.attention.layer_norm_rms_epsilon\" is missing", with("llama.attention.layer_norm_rms_epsilon")},
      {"\"llama.attention.layer_norm_rms_epsilon\" is 0;",
       with("llama.attention.layer_norm_rms_epsilon").f32("llama.attention.layer_norm_rms_epsilon", 0)},
      {"\"tokenizer.ggml.tokens\" is missing; expected is an array of strings", with("tokenizer.ggml.tokens")},
      {"\"tokenizer.ggml.tokens\" is an array of 1 uint32",
       with("tokenizer.ggml.tokens").array("tokenizer.ggml.tokens", 4, 1, "abcd")},
      {"\"tokenizer.ggml.tokens\" is 0; expected is an integer from 1",
       with("tokenizer.ggml.tokens").strings("tokenizer.ggml.tokens", {})},
      {"\"llama.rope.dimension_count\" is 4; expected is 8, the size of a head",
       small_llama().u32("llama.rope.dimension_count", 4)},
      {"\"llama.attention.value_length\" is 16; expected is 8", small_llama().u32("llama.attention.value_length", 16)},
      {"\"llama.expert_count\" is 8; expected is 0: mixtures of experts are not supported",
       small_llama().u32("llama.expert_count", 8)},
      {"\"llama.attention.causal\" is false; expected is true",
       small_llama().field("llama.attention.causal", 7, std::string(1, 0))},
      {"\"general.type\" is the string \"adapter\"; expected is \"model\"",
       small_llama().string("general.type", "adapter")},
      {"\"llama.rope.scaling.type\" is the string \"yarn\"; expected is none or linear",
       small_llama().string("llama.rope.scaling.type", "yarn")},
      {"in \"llama.rope.scaling\": \"llama.rope.scaling.factor\" is -2; expected is a number above 0",
       small_llama().f32("llama.rope.scaling.factor", -2)},
      {"\"llama.rope.freq_base\" is the string \"inf\"; expected is a number above 0",
       small_llama().f32("llama.rope.freq_base", INFINITY)},
      {"\"llama.attention.key_length\" is 0; expected is an integer from 1",
       small_llama().u32("llama.attention.key_length", 0)},
      {"a head has 7 dimensions; expected is an even number", small_llama().u32("llama.attention.key_length", 7)},
      {"\"llama.attention.sliding_window\" is 4294967295; expected is an integer",
       small_llama().u32("llama.attention.sliding_window", UINT32_MAX)},
  };
  for (const auto& [what, file] : table) {
    THROWS(what, config_of(file));
    THROWS("f.gguf", config_of(file));
  }
}
