// Folders written as GGUF files hold the same model; what would be lost is refused.
#include "model/gguf_convert.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/parts.h"
#include "greedy.h"
#include "model/checkpoint.h"
#include "model/gguf.h"
#include "model/gguf_write.h"
#include "model/weights.h"
#include "models.h"
#include "test.h"
#include "tiny_model.h"

using namespace gattling;
using test::greedy;
using test::prompt_of;

namespace {

uint64_t convert(const std::string& folder, const std::string& out, std::optional<GgmlType> type = {}) {
  uint64_t last = 0;
  const uint64_t size = convert_to_gguf({folder, out, type, "", 0}, [&](uint64_t done, uint64_t total) {
    CHECK(last <= done && done <= total);
    last = done;
  });
  CHECK(size == std::filesystem::file_size(out));
  return size;
}

void check_same(const std::string& folder, const std::string& file, std::optional<DType> dtype, int vocab) {
  const auto a = greedy(folder, dtype, prompt_of(vocab)), b = greedy(file, dtype, prompt_of(vocab));
  CHECK(a.tokens == b.tokens && a.scored == b.scored && a.prompt_scored == b.prompt_scored);
}

}  // namespace

TEST(files_compute_what_their_folders_do) {
  const test::TempFolder out;
  for (const char* name : {"mha-rope10k", "mqa-f16"}) {
    const std::string folder = test::fixture(name), file = out.path + "/" + name + ".gguf";
    convert(folder, file);
    check_same(folder, file, std::nullopt, 512);
  }
  const test::TinyModel models[] = {
      {"biases", 64, 96, 2, 4, 2, 16, 90, {.bias = true}},
      {"tied, linear", 64, 96, 2, 4, 4, 16, 90, {.tied = true, .rope = {RopeType::Linear, 5000, 2.5}}},
      {"window", 64, 96, 2, 4, 2, 16, 90, {.architecture = "MistralForCausalLM", .window = 7}},
      {"qwen2", 64, 96, 2, 4, 2, 16, 90, {.architecture = "Qwen2ForCausalLM", .tied = true}},
      {"head dim, shards", 48, 64, 1, 3, 1, 40, 90, {.storage = DType::BF16, .n_shards = 3}},
  };
  for (const test::TinyModel& model : models) {
    const test::TempFolder folder;
    test::write(model, folder);
    const std::string file = folder.path + "/m.gguf";
    convert(folder.path, file);
    check_same(folder.path, file, DType::F32, model.vocab);
  }
}

TEST(llama3_rope_becomes_factors) {
  const test::TempFolder out;
  const std::string folder = test::fixture("gqa-llama3rope-tied"), file = out.path + "/m.gguf";
  convert(folder, file);
  const auto a = greedy(folder, DType::F32, prompt_of(512)), b = greedy(file, DType::F32, prompt_of(512));
  CHECK(a.tokens == b.tokens);
  for (size_t i = 0; i < a.prompt_scored.size(); ++i)
    CHECK(std::abs(a.prompt_scored[i].logprob - b.prompt_scored[i].logprob) < 1e-4f);
}

// Each number within half a step (the step itself is rounded to fp16) of a block's scale; rows that no blocks fill in
// fp16.
TEST(matrices_of_integers) {
  const test::TempFolder folder;
  test::write({"odd", 64, 40, 1, 4, 2, 16, 90}, folder);
  for (const GgmlType type : {GgmlType::Q8_0, GgmlType::Q4_0}) {
    const std::string file = folder.path + (type == GgmlType::Q8_0 ? "/8.gguf" : "/4.gguf");
    convert(folder.path, file, type);
    Checkpoint ours = Checkpoint::open(folder.path), written = Checkpoint::open(file);
    for (const TensorSpec& spec : tensor_specs(ours.config())) {
      const HostTensor &a = ours.get(spec.name, spec.shape), &b = written.get(spec.name, spec.shape);
      const int64_t k = spec.shape.back();
      if (spec.shape.size() == 1) {
        CHECK(b.dtype == DType::F32 && !b.quantised);
        continue;
      }
      CHECK((b.quantised != nullptr) == (k % 32 == 0) && (b.quantised || b.dtype == DType::F16));
      std::vector<float> x(static_cast<size_t>(k)), y(x.size());
      for (int64_t row = 0; row < spec.shape[0]; ++row) {
        read_columns(a, row, 0, k, x.data());
        read_columns(b, row, 0, k, y.data());
        for (int64_t i = 0; i < k; ++i) {
          const auto block = x.begin() + i / 32 * 32;
          const float most = std::abs(*std::max_element(block, std::min(block + 32, x.end()),
                                                        [](float p, float q) { return std::abs(p) < std::abs(q); }));
          // Of Q4_0 the end of the range that has no number for it may be a whole step away.
          const float step = !b.quantised ? most / 1024 : type == GgmlType::Q8_0 ? most / 127 * 0.6f : most / 8 * 1.05f;
          CHECK(std::abs(x[static_cast<size_t>(i)] - y[static_cast<size_t>(i)]) <= step);
        }
      }
    }
  }
}

// ggml's own examples of a block by hand: 127 steps of the greatest, halves away from zero; -8 is the greatest.
TEST(blocks_by_hand) {
  float x[32] = {127, -63.5f, 0.5f, 2.4f};
  std::byte eight[34], four[18];
  write_ggml(GgmlType::Q8_0, x, 32, eight);
  CHECK(eight[0] == std::byte{0x00} && eight[1] == std::byte{0x3c});  // 1.0
  CHECK(eight[2] == std::byte{127} && eight[3] == std::byte{0xc0} && eight[4] == std::byte{1} &&
        eight[5] == std::byte{2});
  x[0] = -8, x[1] = 7, x[2] = 7.6f, x[16] = 1;
  x[3] = 0;
  write_ggml(GgmlType::Q4_0, x, 32, four);
  CHECK(four[0] == std::byte{0x00} && four[1] == std::byte{0x3c});
  CHECK(four[2] == std::byte{0x90} && four[3] == std::byte{0x8f} && four[4] == std::byte{0x8f} &&
        four[5] == std::byte{0x88});
  const float zeros[32] = {};
  write_ggml(GgmlType::Q8_0, zeros, 32, eight);
  CHECK(std::all_of(eight, eight + 34, [](std::byte byte) { return byte == std::byte{0}; }));
}

TEST(metadata_is_llama_cpps) {
  const test::TempFolder folder;
  test::write({"m", 64, 96, 2, 4, 2, 16, 90}, folder);
  const std::string file = folder.path + "/m.gguf";
  convert(folder.path, file, GgmlType::F16);
  const Gguf gguf(file);
  CHECK(gguf.contents.version == 3 && gguf.contents.tensors.size() == 21);
  CHECK(gguf.contents.find("general.architecture")->string() == "llama");
  CHECK(gguf.contents.find("general.file_type")->number() == 1);
  for (const auto& [key, value] : {std::pair("llama.block_count", 2), std::pair("llama.attention.head_count_kv", 2),
                                   std::pair("llama.rope.dimension_count", 16), std::pair("llama.vocab_size", 90)})
    CHECK(gguf.contents.find(key)->number() == value);
}

// The file that llama.cpp's own converter wrote from the same folder.
TEST(tensors_are_those_of_llama_cpps_converter) {
  const std::string folder = std::string(GATTLING_SOURCE_DIR) + "/../shared/refs/stories260K";
  if (!std::filesystem::exists(folder + "/stories260K-f32.gguf")) {
    std::printf("skipped: %s is not there\n", folder.c_str());
    return;
  }
  const test::TempFolder out;
  convert(folder, out.path + "/m.gguf", GgmlType::F32);
  const Gguf ours(out.path + "/m.gguf"), theirs(folder + "/stories260K-f32.gguf");
  CHECK(ours.contents.tensors.size() == theirs.contents.tensors.size());
  for (const GgufTensor& tensor : theirs.contents.tensors) {
    const auto at = std::ranges::find(ours.contents.tensors, tensor.name, &GgufTensor::name);
    CHECK(at != ours.contents.tensors.end() && at->type == tensor.type && at->shape == tensor.shape);
    CHECK(std::ranges::equal(at->data, tensor.data));
  }
  for (const GgufField& field : theirs.contents.metadata) {
    if (!field.key.starts_with("llama.")) continue;
    const GgufValue* value = ours.contents.find(field.key);
    if (!value || value->describe() != field.value.describe())
      test::failed(__FILE__, __LINE__, std::string(field.key) + " is " + (value ? value->describe() : "missing"));
  }
}

TEST(what_is_refused) {
  const test::TempFolder folder;
  test::write({"m", 64, 96, 1, 4, 2, 16, 90}, folder);
  folder.write("there.gguf", "");
  THROWS("there.gguf is there already; choose another name", convert(folder.path, folder.path + "/there.gguf"));
  const size_t before = folder.n_files();
  THROWS("nowhere must be a folder", convert(folder.path + "/nowhere", folder.path + "/a.gguf"));
  CHECK(folder.n_files() == before);
  folder.write("config.json", [&] {
    std::string config = test::read_file(folder.path + "/config.json");
    return config.replace(config.find("\"num_key_value_heads\":2"), 23, "\"num_key_value_heads\":4");
  }());
  THROWS("k_proj.weight\" has the shape [32, 64]", convert(folder.path, folder.path + "/a.gguf"));
  CHECK(written_type("q8_0") == GgmlType::Q8_0 && !written_type("q5_0"));
}

TEST(numbers_that_a_type_cannot_hold) {
  const test::TempFolder folder;
  test::write({"m", 64, 96, 1, 4, 2, 16, 90}, folder);
  const std::string path = folder.path + "/model.safetensors", bytes = test::read_file(path);
  Checkpoint checkpoint = Checkpoint::open(folder.path);
  const HostTensor& tensor = checkpoint.get("model.layers.0.mlp.down_proj.weight", {64, 96});
  const size_t at = bytes.find(std::string(reinterpret_cast<const char*>(tensor.data), 16));
  const std::string out = folder.path + "/m.gguf";
  const auto with = [&](float value) {
    std::string changed = bytes;
    std::memcpy(&changed[at], &value, 4);
    folder.write("model.safetensors", changed);
  };
  for (float value : {std::nanf(""), -std::numeric_limits<float>::infinity()}) {
    with(value);
    for (GgmlType type : {GgmlType::F32, GgmlType::F16, GgmlType::BF16, GgmlType::Q8_0, GgmlType::Q4_0})
      THROWS("\"model.layers.0.mlp.down_proj.weight\" holds numbers that are not finite",
             convert(folder.path, out, type));
  }
  with(70000);
  THROWS("or too large for F16", convert(folder.path, out, GgmlType::F16));
  convert(folder.path, out, GgmlType::Q8_0);
}
