#include "model/checkpoint.h"

#include "backend/error.h"
#include "files.h"
#include "model/weights.h"
#include "test.h"

using namespace gattling;
using test::safetensors;

namespace {

const std::string kModels = GATTLING_SOURCE_DIR "/test/fixtures/models/";

// One F32 tensor of two elements.
std::string one(const std::string& name) {
  return safetensors("{\"" + name + R"(":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "01234567");
}

std::string index(const std::string& weight_map) {
  return R"({"metadata":{"total_size":16},"weight_map":)" + weight_map + "}";
}

constexpr const char* kIndex = "model.safetensors.index.json";

}  // namespace

TEST(fixtures_hold_what_their_configs_say) {
  for (const char* name : {"mha-rope10k", "gqa-llama3rope-tied", "mqa-f16"}) {
    const ModelConfig config = load_config(kModels + name);
    Checkpoint checkpoint = Checkpoint::open(kModels + name);
    size_t n_bytes = 0;
    for (const TensorSpec& spec : tensor_specs(config)) {
      const HostTensor& tensor = checkpoint.get(spec.name, spec.shape);
      CHECK(tensor.dtype == config.dtype);
      n_bytes += tensor.bytes();
      checkpoint.release(spec.name);
    }
    CHECK(checkpoint.unused().empty());
    CHECK(checkpoint.total_bytes() == n_bytes);
    const WeightSpec head = head_spec(config);
    CHECK(checkpoint.get(head.parts[0].name, head.parts[0].shape).size() == config.vocab_size * config.hidden_size);
  }
}

TEST(wrong_and_missing_tensors) {
  Checkpoint checkpoint = Checkpoint::open(kModels + "mqa-f16");
  const std::string name = "model.layers.0.self_attn.k_proj.weight";
  THROWS(
      "mqa-f16/model.safetensors: tensor \"" + name + "\" has the shape [16, 96]; expected by config.json is [96, 96]",
      checkpoint.get(name, {96, 96}));
  THROWS("expected by config.json is [1536]", checkpoint.get(name, {1536}));
  THROWS("does not hold the tensor \"model.layers.0.attn.k_proj.weight\", only 21 others, the nearest of which is \"" +
             name,
         checkpoint.get("model.layers.0.attn.k_proj.weight", {16, 96}));
  CHECK(checkpoint.has(name) && !checkpoint.has("x") && checkpoint.unused().size() == 21);
}

TEST(shards) {
  const test::TempFolder folder;
  folder.write("a.safetensors", one("a"));
  folder.write("b.safetensors", one("b"));
  folder.write(kIndex, index(R"({"a":"a.safetensors","b":"b.safetensors"})"));
  Checkpoint checkpoint = Checkpoint::open(folder.path);
  CHECK(checkpoint.total_bytes() == 16 && checkpoint.has("a") && checkpoint.has("b"));
  CHECK(std::memcmp(checkpoint.get("b", {2}).data, "01234567", 8) == 0);
  CHECK(checkpoint.unused() == std::vector<std::string>{"a"});
  Checkpoint moved = std::move(checkpoint);
  CHECK(moved.get("a", {2}).bytes() == 8 && moved.unused().empty());
}

TEST(bad_shards) {
  const test::TempFolder folder;
  folder.write("a.safetensors", one("a"));
  const auto open = [&](const std::string& text) {
    folder.write(kIndex, text);
    Checkpoint::open(folder.path);
  };
  open(index(R"({"a":"a.safetensors"})"));
  THROWS("/b.safetensors is missing, but model.safetensors.index.json names it",
         open(index(R"({"a":"a.safetensors","b":"b.safetensors"})")));
  THROWS("/a.safetensors does not hold the tensor \"b\"", open(index(R"({"a":"a.safetensors","b":"a.safetensors"})")));
  folder.write("b.safetensors", one("b"));
  THROWS("/a.safetensors does not hold the tensor \"b\"", open(index(R"({"b":"a.safetensors","a":"b.safetensors"})")));
  folder.write("b.safetensors", one("a"));
  THROWS("both hold the tensor \"a\"", open(index(R"({"a":"a.safetensors","b":"b.safetensors"})")));
  THROWS("must have an object as its \"weight_map\"", open("{}"));
  THROWS("must have an object as its \"weight_map\"", open("[]"));
  THROWS("must have an object as its \"weight_map\"", open(index("[]")));
  THROWS("index.json is not valid JSON at byte 0", open(""));
}

TEST(shard_names_stay_in_the_folder) {
  const test::TempFolder outside;
  const std::string path = outside.write("a.safetensors", one("a"));
  const test::TempFolder folder;
  const std::string up = "../" + std::filesystem::path(outside.path).filename().string() + "/a.safetensors";
  CHECK(std::filesystem::exists(folder.path + "/" + up));
  for (const std::string& name :
       {path, up, std::string(".."), std::string("."), std::string(), std::string("x/a.safetensors"),
        std::string(R"(a\\b)"), std::string(R"(a.safetensors\u0000)")}) {
    folder.write(kIndex, index("{\"a\":\"" + name + "\"}"));
    THROWS("expected is the name of a file in the same folder", Checkpoint::open(folder.path));
  }
  folder.write(kIndex, index("{\"a\":7}"));
  THROWS("the shard of tensor \"a\" is 7; expected is the name", Checkpoint::open(folder.path));
}

TEST(folders_without_safetensors) {
  const test::TempFolder folder;
  THROWS("holds neither model.safetensors nor model.safetensors.index.json", Checkpoint::open(folder.path));
  folder.write("pytorch_model.bin", "x");
  THROWS("as a pickle (pytorch_model.bin), which is never read", Checkpoint::open(folder.path));
  THROWS("must be a folder", Checkpoint::open(folder.path + "/none"));
  THROWS("must be a folder", Checkpoint::open(folder.path + "/pytorch_model.bin"));
}
