#include "model/synth.h"

#include <sys/resource.h>

#include <bit>
#include <cmath>
#include <csignal>

#include "backend/error.h"
#include "files.h"
#include "model/checkpoint.h"
#include "test.h"

using namespace gattling;

namespace {

std::string config_text(const std::string& dtype, const std::string& architecture = "Qwen2ForCausalLM",
                        const std::string& ffn = "100") {
  return R"({"architectures":[")" + architecture + R"("],"hidden_size":96,"intermediate_size":)" + ffn +
         R"(,"num_attention_heads":6,"num_key_value_heads":2,"num_hidden_layers":2,"vocab_size":12000,"torch_dtype":")" +
         dtype + "\"}";
}

const SynthProgress kSilent = [](uint64_t, uint64_t) {};

float from_f16(uint16_t half) {
  const uint32_t bits = (half & 0x7FFFu) << 13;
  return (half & 0x8000 ? -1.0f : 1.0f) * std::bit_cast<float>(bits) * 0x1p112f;
}

float element(const HostTensor& tensor, int64_t i) {
  if (tensor.dtype == DType::F32) {
    float value;
    std::memcpy(&value, tensor.data + 4 * i, 4);
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, tensor.data + 2 * i, 2);
  return tensor.dtype == DType::BF16 ? std::bit_cast<float>(uint32_t{bits} << 16) : from_f16(bits);
}

struct Moments {
  double mean = 0, deviation = 0, kurtosis = 0;
};

Moments moments(const HostTensor& tensor) {
  double sums[4] = {};
  const double n = static_cast<double>(tensor.size());
  for (int64_t i = 0; i < tensor.size(); ++i) {
    const double x = element(tensor, i);
    sums[0] += x, sums[1] += x * x, sums[3] += x * x * x * x;
  }
  const double variance = sums[1] / n;
  return {sums[0] / n, std::sqrt(variance), sums[3] / n / (variance * variance)};
}

}  // namespace

TEST(round_trip) {
  for (DType dtype : {DType::F32, DType::BF16, DType::F16}) {
    const test::TempFolder parent;
    const std::string folder = parent.path + "/new/model", text = config_text(name_of(dtype));
    uint64_t last = 0, total = 0;
    const uint64_t bytes = synth(text, folder, 7, [&](uint64_t done, uint64_t all) {
      CHECK(done >= last && done <= all);
      last = done, total = all;
    });
    CHECK(last == total && test::read_file(folder + "/config.json") == text);
    CHECK(bytes == text.size() + std::filesystem::file_size(folder + "/model.safetensors"));

    const ModelConfig config = load_config(folder);
    Checkpoint checkpoint = Checkpoint::open(folder);
    CHECK(checkpoint.total_bytes() == total);
    for (const TensorSpec& spec : tensor_specs(config)) {
      const HostTensor& tensor = checkpoint.get(spec.name, spec.shape);
      CHECK(tensor.dtype == dtype && reinterpret_cast<uintptr_t>(tensor.data) % size_of(dtype) == 0);
      if (!spec.name.ends_with("norm.weight")) continue;
      for (int64_t i = 0; i < tensor.size(); ++i) CHECK(element(tensor, i) == 1);
    }
    CHECK(checkpoint.unused().empty() && checkpoint.has("model.layers.1.self_attn.v_proj.bias"));

    // 1.152 million values: the mean errs by 2e-5, the deviation by 1e-5. Four uniforms have a kurtosis of 2.7.
    const Moments m = moments(checkpoint.get("model.embed_tokens.weight", {12000, 96}));
    CHECK(std::abs(m.mean) < 1e-4 && std::abs(m.deviation - 0.02) < 1e-4 && std::abs(m.kurtosis - 2.7) < 0.05);
  }
}

TEST(the_seed_decides) {
  const test::TempFolder parent;
  const std::string text = config_text("bfloat16");
  for (int i = 0; i < 3; ++i) synth(text, parent.path + "/" + std::to_string(i), i == 2 ? 8 : 7, kSilent);
  const auto file = [&](int i) {
    return test::read_file(parent.path + "/" + std::to_string(i) + "/model.safetensors");
  };
  CHECK(file(0) == file(1) && file(0) != file(2));
}

TEST(parts_equal_the_whole) {
  const TensorSpec q{"q_proj.weight", {1000}}, k{"k_proj.weight", {1000}};
  std::vector<std::byte> whole(2000), part(200), other(2000);
  synth_fill(q, DType::F16, 3, 0, whole);
  synth_fill(q, DType::F16, 3, 501, part);
  synth_fill(k, DType::F16, 3, 0, other);
  CHECK(std::equal(part.begin(), part.end(), whole.begin() + 1002));
  CHECK(whole != other);
}

// Every f16 that comes out is the nearest to the float of the same seed.
TEST(halves_are_rounded_to_nearest) {
  constexpr int n = 200000;
  std::vector<std::byte> f32(4 * n), f16(2 * n), bf16(2 * n);
  const TensorSpec spec{"x", {n}};
  synth_fill(spec, DType::F32, 1, 0, f32);
  synth_fill(spec, DType::F16, 1, 0, f16);
  synth_fill(spec, DType::BF16, 1, 0, bf16);
  const HostTensor exact{"", DType::F32, {n}, f32.data()}, half{"", DType::F16, {n}, f16.data()},
      brain{"", DType::BF16, {n}, bf16.data()};
  for (int i = 0; i < n; ++i) {
    const float x = element(exact, i);
    const int exponent = x == 0 ? -14 : std::max(std::ilogb(x), -14);  // below 2^-14 halves are equally spaced
    CHECK(std::abs(element(half, i) - x) <= std::ldexp(0.5f, exponent - 10));
    CHECK(std::abs(element(brain, i) - x) <= std::ldexp(0.5f, std::ilogb(x == 0 ? 1.0f : x) - 7));
  }
}

TEST(tied_and_biased_names) {
  const auto names = [](const std::string& text) {
    std::string all;
    for (const TensorSpec& spec : tensor_specs(parse_config(text))) all += spec.name + "\n";
    return all;
  };
  CHECK(names(config_text("float16")).find("lm_head.weight") != std::string::npos);
  CHECK(names(config_text("float16")).find("o_proj.bias") == std::string::npos);
  std::string text = config_text("float16", "LlamaForCausalLM");
  CHECK(names(text).find("bias") == std::string::npos);
  text.insert(1, R"("tie_word_embeddings":true,"attention_bias":true,)");
  CHECK(names(text).find("lm_head") == std::string::npos &&
        names(text).find("0.self_attn.o_proj.bias") != std::string::npos);
  CHECK(head_spec(parse_config(text)).parts[0].name == "model.embed_tokens.weight");
}

TEST(an_old_model_is_not_overwritten) {
  const test::TempFolder folder;
  folder.write("config.json", "mine");
  THROWS("holds config.json already", synth(config_text("float32"), folder.path, 1, kSilent));
  CHECK(folder.n_files() == 1 && test::read_file(folder.path + "/config.json") == "mine");
}

TEST(a_bad_config_writes_nothing) {
  const test::TempFolder parent;
  THROWS("config.json is not valid JSON", synth("{", parent.path + "/model", 1, kSilent));
  CHECK(parent.n_files() == 0);
}

TEST(a_disk_too_small_is_said_before_writing) {
  const test::TempFolder parent;
  const std::string text = R"({"architectures":["LlamaForCausalLM"],"hidden_size":1048576,"intermediate_size":1048576,
    "num_attention_heads":4096,"head_dim":256,"num_hidden_layers":1024,"vocab_size":1000})";
  THROWS("free", synth(text, parent.path + "/model", 1, kSilent));
  CHECK(parent.n_files() == 0);
}

// A limit on file sizes stands in for a disk that fills up on the way.
TEST(a_failed_write_leaves_nothing) {
  const test::TempFolder parent;
  rlimit before;
  CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{1 << 20, before.rlim_max};
  CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
  std::string message;
  try {
    synth(config_text("float32"), parent.path + "/model", 1, kSilent);
  } catch (const Error& error) {
    message = error.what();
  }
  CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
  CHECK(message.find("model.safetensors.tmp cannot be written: File too large") != std::string::npos);
  CHECK(parent.n_files() == 0);
}

TEST(an_exception_of_the_caller_stops_it) {
  const test::TempFolder parent;
  const SynthProgress cancel = [](uint64_t, uint64_t) { fail("stopped"); };
  THROWS("stopped", synth(config_text("float32"), parent.path + "/model", 1, cancel));
  CHECK(parent.n_files() == 0);
}
