#include "model/config.h"

#include "backend/error.h"
#include "test.h"

using namespace gattling;

namespace {

const std::string kModels = GATTLING_SOURCE_DIR "/test/fixtures/models/";

using Edits = std::vector<std::pair<std::string, std::string>>;  // key, JSON value

// A small valid Llama config with some members put in place of its own.
std::string text(const Edits& edits) {
  Edits members = {{"architectures", R"(["LlamaForCausalLM"])"},
                   {"hidden_size", "64"},
                   {"intermediate_size", "100"},
                   {"num_attention_heads", "4"},
                   {"num_hidden_layers", "3"},
                   {"vocab_size", "512"}};
  for (const auto& [key, value] : edits) {
    std::erase_if(members, [&name = key](const auto& member) { return member.first == name; });
    if (!value.empty()) members.emplace_back(key, value);
  }
  std::string json = "{";
  for (const auto& [key, value] : members) json += (json.size() > 1 ? ",\"" : "\"") + key + "\":" + value;
  return json + "}";
}

ModelConfig parse(const Edits& edits) {
  return parse_config(text(edits));
}

const std::string kMistral = R"(["MistralForCausalLM"])", kQwen2 = R"(["Qwen2ForCausalLM"])";

}  // namespace

TEST(fixtures) {
  const ModelConfig mha = load_config(kModels + "mha-rope10k");
  CHECK(mha.architecture == "LlamaForCausalLM" && mha.hidden_size == 64 && mha.n_layers == 3 && mha.n_heads == 4);
  CHECK(mha.n_kv_heads == 4 && mha.head_dim == 16 && mha.ffn_size == 172 && mha.vocab_size == 512);
  CHECK(mha.max_position == 512 && mha.rms_eps == 1e-6f && mha.sliding_window == 0 && !mha.tie_embeddings);
  CHECK(mha.dtype == DType::BF16 && mha.rope.type == RopeType::Default && mha.rope.theta == 10000);
  CHECK(mha.bos_ids == std::vector<int32_t>{1} && mha.eos_ids == std::vector<int32_t>{2});

  const ModelConfig gqa = load_config(kModels + "gqa-llama3rope-tied");
  CHECK(gqa.n_heads == 8 && gqa.n_kv_heads == 2 && gqa.head_dim == 32 && gqa.tie_embeddings &&
        gqa.dtype == DType::BF16);
  CHECK(gqa.rope.type == RopeType::Llama3 && gqa.rope.theta == 500000 && gqa.rope.factor == 8);
  CHECK(gqa.rope.low_freq_factor == 1 && gqa.rope.high_freq_factor == 4 && gqa.rope.original_max_position == 128);

  const ModelConfig mqa = load_config(kModels + "mqa-f16");
  CHECK(mqa.n_heads == 6 && mqa.n_kv_heads == 1 && mqa.ffn_size == 250 && mqa.dtype == DType::F16);
  CHECK(mqa.rope.type == RopeType::Default && mqa.rope.theta == 10000);
}

TEST(llama1) {
  const ModelConfig config =
      parse_config(R"({"architectures": ["LLaMAForCausalLM"], "bos_token_id": 0, "eos_token_id": 1,
    "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 11008, "initializer_range": 0.02,
    "max_sequence_length": 1024, "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 32,
    "pad_token_id": -1, "torch_dtype": "float16", "use_cache": true, "vocab_size": 32000})");
  CHECK(config.architecture == "LlamaForCausalLM" && config.n_kv_heads == 32 && config.head_dim == 128);
  CHECK(config.max_position == 1024 && config.rms_eps == 1e-6f && config.dtype == DType::F16);
  CHECK(config.rope.theta == 10000 && !config.tie_embeddings && !config.qkv_bias);
  CHECK(parse({}).max_position == 2048);
}

TEST(llama2_70b) {
  const ModelConfig config =
      parse_config(R"({"architectures": ["LlamaForCausalLM"], "bos_token_id": 1, "eos_token_id": 2,
    "hidden_act": "silu", "hidden_size": 8192, "intermediate_size": 28672, "max_position_embeddings": 4096,
    "model_type": "llama", "num_attention_heads": 64, "num_hidden_layers": 80, "num_key_value_heads": 8,
    "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_scaling": null, "tie_word_embeddings": false,
    "torch_dtype": "float16", "vocab_size": 32000})");
  CHECK(config.n_kv_heads == 8 && config.head_dim == 128 && config.n_layers == 80 && config.rms_eps == 1e-5f);
}

TEST(llama31_8b) {
  const ModelConfig config = parse_config(R"({"architectures": ["LlamaForCausalLM"], "attention_bias": false,
    "bos_token_id": 128000, "eos_token_id": [128001, 128008, 128009], "hidden_act": "silu", "hidden_size": 4096,
    "intermediate_size": 14336, "max_position_embeddings": 131072, "mlp_bias": false, "model_type": "llama",
    "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
    "rope_scaling": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
      "original_max_position_embeddings": 8192, "rope_type": "llama3"},
    "rope_theta": 500000.0, "tie_word_embeddings": false, "torch_dtype": "bfloat16", "vocab_size": 128256})");
  CHECK(config.rope.type == RopeType::Llama3 && config.rope.theta == 500000 && config.rope.factor == 8);
  CHECK(config.rope.original_max_position == 8192 && config.max_position == 131072);
  CHECK(config.eos_ids == (std::vector<int32_t>{128001, 128008, 128009}));
}

TEST(mistral_window) {
  const ModelConfig config = parse_config(R"({"architectures": ["MistralForCausalLM"], "hidden_act": "silu",
    "hidden_size": 4096, "intermediate_size": 14336, "max_position_embeddings": 32768, "model_type": "mistral",
    "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0, "sliding_window": 4096, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
    "vocab_size": 32000})");
  CHECK(config.architecture == "MistralForCausalLM" && config.sliding_window == 4096 && !config.qkv_bias);
  CHECK(parse({{"architectures", kMistral}, {"sliding_window", "null"}}).sliding_window == 0);
  CHECK(parse({{"architectures", kMistral}, {"sliding_window", "7"}}).sliding_window == 7);
  CHECK(parse({{"architectures", kMistral}}).sliding_window == 4096);  // transformers' default
  CHECK(parse({{"sliding_window", "7"}}).sliding_window == 0);         // Llama has none
  THROWS("\"sliding_window\" is 0; expected", parse({{"architectures", kMistral}, {"sliding_window", "0"}}));
}

TEST(qwen2) {
  const ModelConfig config = parse_config(R"({"architectures": ["Qwen2ForCausalLM"], "bos_token_id": 151643,
    "eos_token_id": 151645, "hidden_act": "silu", "hidden_size": 896, "intermediate_size": 4864,
    "max_position_embeddings": 32768, "max_window_layers": 21, "model_type": "qwen2", "num_attention_heads": 14,
    "num_hidden_layers": 24, "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
    "sliding_window": 32768, "tie_word_embeddings": true, "torch_dtype": "bfloat16", "use_sliding_window": false,
    "vocab_size": 151936})");
  CHECK(config.qkv_bias && !config.attn_out_bias && config.tie_embeddings && config.sliding_window == 0);
  CHECK(config.head_dim == 64 && config.rope.theta == 1000000);

  const auto window = [](Edits edits) {
    edits.insert(edits.end(), {{"architectures", kQwen2}, {"use_sliding_window", "true"}, {"sliding_window", "9"}});
    return parse(edits).sliding_window;
  };
  CHECK(window({{"max_window_layers", "0"}}) == 9);
  CHECK(window({{"max_window_layers", "3"}}) == 0 && window({{"max_window_layers", "28"}}) == 0 && window({}) == 0);
  THROWS("2 of 3 layers have a sliding window; supported is a window on all layers or on none",
         window({{"max_window_layers", "1"}}));
  CHECK(window({{"layer_types", R"(["sliding_attention","sliding_attention","sliding_attention"])"}}) == 9);
  CHECK(window({{"layer_types", R"(["full_attention","full_attention","full_attention"])"}}) == 0);
  THROWS("1 of 3 layers", window({{"layer_types", R"(["full_attention","full_attention","sliding_attention"])"}}));
  THROWS("\"layer_types\" is an array; expected", window({{"layer_types", R"(["full_attention"])"}}));
  CHECK(parse({{"architectures", kQwen2},
               {"use_sliding_window", "true"},
               {"sliding_window", "null"},
               {"max_window_layers", "0"}})
            .sliding_window == 0);
}

TEST(biases_and_dtypes) {
  const ModelConfig config = parse({{"attention_bias", "true"}});
  CHECK(config.qkv_bias && config.attn_out_bias);
  CHECK(!parse({{"architectures", kMistral}, {"attention_bias", "true"}}).qkv_bias);
  CHECK(!parse({}).dtype && !parse({{"torch_dtype", "null"}}).dtype && !parse({{"dtype", "\"auto\""}}).dtype);
  CHECK(parse({{"dtype", "\"float32\""}, {"torch_dtype", "\"float16\""}}).dtype == DType::F32);
  CHECK(parse({{"torch_dtype", "\"torch.bfloat16\""}}).dtype == DType::BF16);
  THROWS("\"torch_dtype\" is the string \"float64\"; expected is float32, bfloat16 or float16",
         parse({{"torch_dtype", "\"float64\""}}));
}

TEST(architectures) {
  CHECK(parse({{"architectures", ""}, {"model_type", "\"qwen2\""}}).architecture == "Qwen2ForCausalLM");
  CHECK(parse({{"architectures", "null"}, {"model_type", "\"llama\""}}).architecture == "LlamaForCausalLM");
  THROWS(
      "the architecture \"Gemma2ForCausalLM\" is not supported; expected is LlamaForCausalLM, MistralForCausalLM or "
      "Qwen2ForCausalLM",
      parse({{"architectures", R"(["Gemma2ForCausalLM"])"}}));
  THROWS("models of the type \"gpt2\" are not supported", parse({{"architectures", ""}, {"model_type", "\"gpt2\""}}));
  THROWS("\"architectures\" is missing; expected", parse({{"architectures", ""}}));
  THROWS("\"architectures\" is an array; expected", parse({{"architectures", "[]"}}));
}

TEST(rope_types) {
  const auto rope = [](const std::string& key, const std::string& value) { return parse({{key, value}}).rope; };
  CHECK(rope("rope_theta", "1000000").theta == 1e6);
  RopeConfig linear = rope("rope_scaling", R"({"type":"linear","factor":4.0})");
  CHECK(linear.type == RopeType::Linear && linear.factor == 4 && linear.theta == 10000);
  linear = rope("rope_parameters", R"({"rope_type":"linear","factor":2,"rope_theta":5e5})");
  CHECK(linear.type == RopeType::Linear && linear.factor == 2 && linear.theta == 5e5);
  CHECK(rope("rope_scaling", R"({"rope_type":"default"})").type == RopeType::Default);
  for (const char* type : {"yarn", "dynamic", "longrope", "mrope", "su"})
    THROWS(std::string("in \"rope_scaling\": the RoPE type \"") + type + "\" is not supported",
           rope("rope_scaling", std::string(R"({"factor":2,"rope_type":")") + type + "\"}"));
  THROWS("config.json, in \"rope_scaling\": \"factor\" is missing; expected is a number above 0",
         rope("rope_scaling", R"({"type":"linear"})"));
  THROWS("\"factor\" is 0", rope("rope_scaling", R"({"type":"linear","factor":0})"));
  THROWS("\"low_freq_factor\" is missing", rope("rope_scaling", R"({"rope_type":"llama3","factor":8})"));
  THROWS("\"low_freq_factor\" is 4; expected is less than high_freq_factor",
         rope("rope_scaling", R"({"rope_type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":4,
                               "original_max_position_embeddings":8})"));
  THROWS("\"original_max_position_embeddings\" is missing",
         rope("rope_scaling", R"({"rope_type":"llama3","factor":8,"low_freq_factor":1,"high_freq_factor":4})"));
  THROWS("\"rope_scaling\" is the string \"linear\"; expected is an object", rope("rope_scaling", "\"linear\""));
  THROWS("\"rope_theta\" is -1", rope("rope_theta", "-1"));
  THROWS("\"partial_rotary_factor\" is 0.5", rope("partial_rotary_factor", "0.5"));
}

TEST(wrong_values) {
  const struct {
    const char* key;
    const char* value;
    const char* expected;
  } table[] = {
      {"hidden_size", "", "\"hidden_size\" is missing; expected is an integer from 1 to 1048576"},
      {"hidden_size", "0", "\"hidden_size\" is 0; expected"},
      {"hidden_size", "-64", "\"hidden_size\" is -64"},
      {"hidden_size", "64.5", "\"hidden_size\" is 64.5"},
      {"hidden_size", "\"64\"", "\"hidden_size\" is the string \"64\""},
      {"hidden_size", "4294967360", "\"hidden_size\" is 4294967360"},
      {"hidden_size", "66", "\"hidden_size\" is 66; expected is a multiple of num_attention_heads (4), or a head_dim"},
      {"hidden_size", "68", "a head has 17 dimensions; expected is an even number from 8 to 256"},
      {"hidden_size", "24", "a head has 6 dimensions"},
      {"head_dim", "258", "a head has 258 dimensions"},
      {"head_dim", "0", "\"head_dim\" is 0"},
      {"num_attention_heads", "", "\"num_attention_heads\" is missing"},
      {"num_attention_heads", "100000", "\"num_attention_heads\" is 100000; expected is an integer from 1 to 4096"},
      {"num_key_value_heads", "3", "\"num_key_value_heads\" is 3; expected is a divisor of num_attention_heads (4)"},
      {"num_key_value_heads", "8", "\"num_key_value_heads\" is 8; expected is a divisor"},
      {"num_key_value_heads", "0", "\"num_key_value_heads\" is 0"},
      {"num_hidden_layers", "0", "\"num_hidden_layers\" is 0"},
      {"num_hidden_layers", "100000", "\"num_hidden_layers\" is 100000; expected is an integer from 1 to 1024"},
      {"intermediate_size", "null", "\"intermediate_size\" is missing"},
      {"vocab_size", "-1", "\"vocab_size\" is -1"},
      {"max_position_embeddings", "0", "\"max_position_embeddings\" is 0"},
      {"rms_norm_eps", "0", "\"rms_norm_eps\" is 0"},
      {"rms_norm_eps", "1", "\"rms_norm_eps\" is 1; expected is a number between 0 and 1"},
      {"rms_norm_eps", "1e-60", "\"rms_norm_eps\" is 1e-60"},
      {"tie_word_embeddings", "1", "\"tie_word_embeddings\" is 1; expected is true or false"},
      {"hidden_act", "\"gelu\"", "\"hidden_act\" is the string \"gelu\"; expected is silu"},
      {"mlp_bias", "true", "\"mlp_bias\" is true; expected is false"},
      {"eos_token_id", "[1,-1]", "\"eos_token_id\" is an array; expected is a token id or a list of them"},
      {"bos_token_id", "\"<s>\"", "\"bos_token_id\" is the string \"<s>\"; expected"},
  };
  for (const auto& row : table) {
    THROWS(row.expected, parse({{row.key, row.value}}));
    THROWS("config.json", parse({{row.key, row.value}}));
  }
  CHECK(parse({{"hidden_size", "66"}, {"head_dim", "16"}}).head_dim == 16);
  CHECK(parse({{"quantization_config", "null"}, {"num_key_value_heads", "null"}}).n_kv_heads == 4);
}

TEST(not_a_config) {
  THROWS("config.json must hold an object, not an array", parse_config("[]"));
  THROWS("config.json is not valid JSON at byte 0", parse_config(""));
  THROWS("none/config.json cannot be opened", load_config("none"));
}
