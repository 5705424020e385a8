// GGUF models as checkpoints: the fixtures, names, the order of rows, split files, what cannot be served.
#include <algorithm>
#include <cmath>

#include "backend/error.h"
#include "backend/half.h"
#include "files.h"
#include "gguf_bytes.h"
#include "model/checkpoint.h"
#include "model/gguf_tensors.h"
#include "model/rope.h"
#include "model/weights.h"
#include "test.h"

using namespace gattling;
using test::GgufBytes;
using test::number;
using test::small_llama;

namespace {

const std::string kFixtures = GATTLING_SOURCE_DIR "/test/fixtures/gguf/";
const std::string kModels = GATTLING_SOURCE_DIR "/test/fixtures/models/";

// Element (r, c) of a tensor of the fixtures: weight() of make.py.
float expected(const std::string& name, int64_t r, int64_t c) {
  int64_t salt = 0;
  for (char letter : name) salt += letter;
  return static_cast<float>((r * 31 + c * 17 + salt) % 255 - 127) / 64;
}

// Element (r, c) in Hugging Face's order.
float element(const HostTensor& tensor, int64_t r, int64_t c) {
  const int64_t columns = tensor.shape.size() == 2 ? tensor.shape[1] : 1, row = tensor.stored_row(r);
  if (tensor.quantised) {
    const int64_t group = tensor.quantised->group();
    std::vector<int8_t> q(group);
    float scale, offset;
    tensor.quantised->read(row, c / group, 1, q.data(), &scale, &offset);
    return scale * q[c % group] + offset;
  }
  const std::byte* at = tensor.data + (row * columns + c) * size_of(tensor.dtype);
  if (tensor.dtype == DType::F32) {
    float value;
    std::memcpy(&value, at, sizeof(value));
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, at, sizeof(bits));
  return tensor.dtype == DType::F16 ? widen(f16{bits}) : widen(bf16{bits});
}

// Every tensor that the config speaks of is there, with the values that make.py gave it.
void check_values(Checkpoint& checkpoint, float relative) {
  const ModelConfig config = checkpoint.config();
  for (const TensorSpec& spec : tensor_specs(config)) {
    const HostTensor& tensor = checkpoint.get(spec.name, spec.shape);
    const int64_t columns = spec.shape.size() == 2 ? spec.shape[1] : 1;
    for (int64_t r = 0; r < spec.shape[0]; ++r)
      for (int64_t c = 0; c < columns; ++c)
        CHECK(std::abs(element(tensor, r, c) - expected(spec.name, r, c)) <= 2 * relative);
  }
  CHECK(checkpoint.unused().empty());
}

}  // namespace

TEST(llama_fixture) {
  Checkpoint checkpoint = Checkpoint::open(kFixtures + "llama.gguf");
  const ModelConfig config = checkpoint.config();
  CHECK(config.architecture == "LlamaForCausalLM" && config.hidden_size == 32 && config.n_layers == 1);
  CHECK(config.n_heads == 4 && config.n_kv_heads == 2 && config.head_dim == 8 && config.ffn_size == 64);
  CHECK(config.vocab_size == 24 && config.max_position == 256 && config.rms_eps == 1e-5f);
  CHECK(config.tie_embeddings && config.qkv_bias && config.attn_out_bias && config.sliding_window == 0);
  CHECK(config.rope.type == RopeType::Default && config.rope.theta == 500000);
  CHECK(config.rope_factors == (std::vector<float>{1, 1.5f, 2.5f, 8}));
  check_values(checkpoint, 0);
}

TEST(mistral_fixture) {
  Checkpoint checkpoint = Checkpoint::open(kFixtures + "mistral.gguf");
  const ModelConfig config = checkpoint.config();
  CHECK(config.architecture == "MistralForCausalLM" && config.sliding_window == 32);
  CHECK(!config.tie_embeddings && !config.qkv_bias && !config.attn_out_bias && config.rope_factors.empty());
  const HostTensor& table = checkpoint.get("model.embed_tokens.weight", {24, 32});
  // Of Q8_0: a group of 32 columns is 34 bytes.
  CHECK(table.quantised && table.dtype == DType::BF16 && table.bytes() == 24 * 34);
  check_values(checkpoint, 1.0f / 254);  // half a step of the largest of a group
}

TEST(qwen2_fixture_in_three_parts) {
  Checkpoint checkpoint = Checkpoint::open(kFixtures + "qwen2-00001-of-00003.gguf");
  const ModelConfig config = checkpoint.config();
  CHECK(config.architecture == "Qwen2ForCausalLM" && config.rope.theta == 1000000);
  CHECK(config.qkv_bias && !config.attn_out_bias && !config.tie_embeddings && config.sliding_window == 0);
  CHECK(checkpoint.get("model.layers.0.self_attn.q_proj.weight", {32, 32}).paired_head == 0);
  check_values(checkpoint, 0);
  CHECK(checkpoint.total_bytes() > 20000);
}

TEST(parts_must_be_there_and_belong_together) {
  const test::TempFolder folder;
  const auto part = [&](const char* name, int number) {
    return folder.write(name, test::read_file(kFixtures + "qwen2-0000" + std::to_string(number) + "-of-00003.gguf"));
  };
  const std::string first = part("m-00001-of-00003.gguf", 1);
  THROWS("m-00002-of-00003.gguf cannot be opened: No such file", Checkpoint::open(first));
  const std::string second = part("m-00002-of-00003.gguf", 2);
  part("m-00003-of-00003.gguf", 3);
  CHECK(Checkpoint::open(first).has("lm_head.weight"));
  THROWS("m-00002-of-00003.gguf is part 2 of 3; expected is the first, whose name ends in -00001-of-00003.gguf",
         Checkpoint::open(second));
  THROWS("m.gguf is part 1 of 3; expected is the first, whose name ends in -00001-of-00003.gguf",
         Checkpoint::open(part("m.gguf", 1)));
  part("m-00003-of-00003.gguf", 2);
  THROWS("m-00003-of-00003.gguf says that it is part 2 of 3; expected by its name is 3 of 3", Checkpoint::open(first));

  const auto alone = [&](GgufBytes file) { open_gguf(folder.write("s-00001-of-00002.gguf", file.bytes())); };
  folder.write("s-00002-of-00002.gguf", GgufBytes().u32("split.no", 1).u32("split.count", 2).bytes());
  alone(GgufBytes().u32("split.count", 2));
  alone(GgufBytes().u32("split.count", 1));
  THROWS("says that its parts hold 9 tensors; they hold 0",
         alone(GgufBytes().u32("split.count", 2).u32("split.tensors.count", 9)));
  THROWS("\"split.count\" is -1; expected is a count", alone(GgufBytes().field("split.count", 5, number<int32_t>(-1))));
  THROWS("\"split.count\" is the string \"2\"; expected is a count", alone(GgufBytes().string("split.count", "2")));
  THROWS("\"split.count\" is 18446744073709551615; expected is a count",
         alone(GgufBytes().field("split.count", 10, number<uint64_t>(UINT64_MAX))));
  THROWS("is part 1 of 4611686018427387904; expected is the first, whose name ends in -00001-of-4611686018427387904",
         alone(GgufBytes().field("split.count", 10, number<uint64_t>(uint64_t{1} << 62))));
}

TEST(names) {
  const std::pair<const char*, const char*> table[] = {
      {"token_embd.weight", "model.embed_tokens.weight"},
      {"output_norm.weight", "model.norm.weight"},
      {"output.weight", "lm_head.weight"},
      {"rope_freqs.weight", "rope_freqs.weight"},
      {"blk.0.attn_norm.weight", "model.layers.0.input_layernorm.weight"},
      {"blk.10.attn_q.bias", "model.layers.10.self_attn.q_proj.bias"},
      {"blk.127.attn_output.weight", "model.layers.127.self_attn.o_proj.weight"},
      {"blk.3.ffn_norm.weight", "model.layers.3.post_attention_layernorm.weight"},
      {"blk.3.ffn_gate.weight", "model.layers.3.mlp.gate_proj.weight"},
      {"blk.3.ffn_down.weight", "model.layers.3.mlp.down_proj.weight"},
      // Of no supported model.
      {"blk.3.attn_q_norm.weight", ""},
      {"blk.3.ffn_gate_inp.weight", ""},
      {"blk.3.ffn_up.scale", ""},
      {"blk.03.ffn_up.weight", ""},
      {"blk.x.ffn_up.weight", ""},
      {"blk..ffn_up.weight", ""},
      {"blk.1", ""},
      {"blk.", ""},
      {"blk.1.", ""},
  };
  for (const auto& [theirs, ours] : table) CHECK(hugging_face_name(theirs) == ours);
}

// Q and K of a real model, written in llama.cpp's order: reshape(heads, 2, half).swap(1, 2), as its converter has it.
TEST(paired_rows_are_undone) {
  for (int64_t head : {8, 16, 32, 96}) {
    const int64_t heads = 3, half = head / 2;
    HostTensor tensor;
    tensor.paired_head = head;
    std::vector<int64_t> stored(heads * head);
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t which = 0; which < 2; ++which)
        for (int64_t i = 0; i < half; ++i) stored[(h * half + i) * 2 + which] = (h * 2 + which) * half + i;
    for (int64_t row = 0; row < heads * head; ++row) CHECK(stored[tensor.stored_row(row)] == row);
  }
  Checkpoint checkpoint = Checkpoint::open(kFixtures + "llama.gguf");
  const std::string attention = "model.layers.0.self_attn.";
  for (const char* name : {"q_proj.weight", "q_proj.bias", "k_proj.weight", "k_proj.bias"}) {
    const bool q = name[0] == 'q', bias = std::string(name).ends_with("bias");
    const std::vector<int64_t> shape = bias ? std::vector<int64_t>{q ? 32 : 16} : std::vector<int64_t>{q ? 32 : 16, 32};
    CHECK(checkpoint.get(attention + name, shape).paired_head == 8);
  }
  CHECK(checkpoint.get(attention + "v_proj.weight", {16, 32}).paired_head == 0);
  CHECK(checkpoint.get(attention + "o_proj.weight", {32, 32}).paired_head == 0);
}

TEST(frequencies_are_divided) {
  const std::vector<float> factors = {1, 2, 4, 8}, plain = inv_freq({}, 8), divided = inv_freq({}, 8, factors);
  for (int i = 0; i < 4; ++i) CHECK(divided[i] == plain[i] / factors[i]);
}

// The factors of a converted Llama 3.1 give what its config.json does.
TEST(llama3_factors_are_its_rope_scaling) {
  const RopeConfig scaled = load_config(kModels + "gqa-llama3rope-tied").rope;
  RopeConfig plain;
  plain.theta = scaled.theta;
  std::vector<float> factors;
  const int head_dim = 32;
  // generate_extra_tensors() of llama.cpp's converter, in fp32 as there.
  for (int i = 0; i < head_dim; i += 2) {
    const float frequency = 1 / std::pow(static_cast<float>(scaled.theta), static_cast<float>(i) / head_dim);
    const double wavelength = 2 * M_PI / frequency, original = scaled.original_max_position;
    const double low = scaled.low_freq_factor, high = scaled.high_freq_factor;
    const double smooth = (original / wavelength - low) / (high - low);
    const double factor = wavelength < original / high  ? 1
                          : wavelength > original / low ? scaled.factor
                                                        : 1 / ((1 - smooth) / scaled.factor + smooth);
    factors.push_back(static_cast<float>(factor));
  }
  CHECK(factors.front() == 1 && factors.back() == 8);
  const std::vector<float> a = inv_freq(scaled, head_dim), b = inv_freq(plain, head_dim, factors);
  for (size_t i = 0; i < a.size(); ++i) CHECK(std::abs(a[i] - b[i]) <= 1e-6f * a[i]);
}

TEST(tensors_that_cannot_be_served) {
  const test::TempFolder folder;
  const auto open = [&](GgufBytes file) { return Checkpoint::open(folder.write("m.gguf", file.bytes())); };
  THROWS("m.gguf: tensor \"token_embd.weight\" is stored as IQ4_XS; supported are F32, F16, BF16, Q8_0, Q4_0",
         open(small_llama().tensor("token_embd.weight", {256, 2}, 23, std::string(272, 'x'))));
  THROWS("no supported model has a tensor \"blk.0.attn_q_norm.weight\"",
         open(small_llama().tensor("blk.0.attn_q_norm.weight", {1}, 0, "0123")));
  THROWS("both hold the tensor \"model.norm.weight\"",
         open(small_llama().tensor("model.norm.weight", {1}, 0, "0123").tensor("output_norm.weight", {1}, 0, "0123")));
  CHECK(!open(small_llama().tensor("blk.0.attn_rot_embd.weight", {1}, 0, "0123")).has("blk.0.attn_rot_embd.weight"));

  const auto factors = [](float value) {
    return number<float>(1) + number<float>(1) + number<float>(1) + number<float>(value);
  };
  CHECK(open(small_llama().tensor("rope_freqs.weight", {4}, 0, factors(8))).config().rope_factors[3] == 8);
  for (float bad : {0.0f, -1.0f, NAN, INFINITY})
    THROWS("tensor \"rope_freqs.weight\" holds ",
           open(small_llama().tensor("rope_freqs.weight", {4}, 0, factors(bad))));
  THROWS("tensor \"rope_freqs.weight\" must be F32",
         open(small_llama().tensor("rope_freqs.weight", {4}, 1, std::string(8, 'x'))));
  THROWS("tensor \"rope_freqs.weight\" has the shape [2]; expected by its metadata is [4]",
         open(small_llama().tensor("rope_freqs.weight", {2}, 0, std::string(8, 'x'))));
  Checkpoint scalar = open(small_llama().tensor("output_norm.weight", {}, 0, "0123"));
  THROWS("has the shape []; expected by its metadata is [32]", scalar.get("model.norm.weight", {32}));
  Checkpoint norm = open(small_llama().tensor("output_norm.weight", {32}, 8, std::string(34, 'x')));
  THROWS(
      "tensor \"model.norm.weight\" is stored as integers with scales; expected is F32, BF16 or F16, as it is no "
      "matrix",
      norm.get("model.norm.weight", {32}));
}

TEST(what_is_no_model) {
  const test::TempFolder folder;
  THROWS("none.gguf cannot be opened: No such file", Checkpoint::open(folder.path + "/none.gguf"));
  THROWS("a folder that holds a model, or a .gguf file", Checkpoint::open(folder.write("model.bin", "GGUF")));
  THROWS("begins with \"xxxx\"", Checkpoint::open(folder.write("m.gguf", "xxxxxxxx")));
  std::filesystem::remove(folder.path + "/model.bin");
  THROWS("is a folder with a GGUF file; name the file itself, for example ", Checkpoint::open(folder.path));
}
