// Folders of packed integers hold what --quantization makes of their dense weights; runs that were cut go on.
#include "model/quantize_folder.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>

#include "backend/half.h"
#include "backend/parts.h"
#include "backend/quantise.h"
#include "model/checkpoint.h"
#include "model/json.h"
#include "model/safetensors.h"
#include "model/weights.h"
#include "packed_words.h"
#include "test.h"
#include "tiny_model.h"

using namespace gattling;

namespace {

constexpr const char* kShard = "/model.safetensors";

QuantizedFolder quantize(const std::string& folder, const std::string& out, Quantization quantization,
                         uint64_t shard_bytes = kShardBytes) {
  uint64_t last = 0;
  const QuantizedFolder written =
      quantize_folder({folder, out, quantization, shard_bytes}, [&](uint64_t done, uint64_t total) {
        CHECK(last <= done && done <= total);
        last = done;
      });
  CHECK(last == written.bytes);
  return written;
}

// What `gattling quantize` adds to config.json.
void describe(const std::string& folder, const test::TempFolder& out, int bits, int group) {
  const std::string config = test::read_file(folder + "/config.json");
  out.write("config.json",
            concat(config.substr(0, config.size() - 1), R"(,"quantization_config":{"quant_method":"gptq","bits":)",
                   bits, R"(,"group_size":)", group, "}}"));
}

// Integers, scales and offsets of a row.
struct Row {
  std::vector<int8_t> q;
  std::vector<float> scales, offsets;

  Row(const Quantised& quantised, int64_t row, int64_t k) {
    const int64_t groups = (k + quantised.group() - 1) / quantised.group();
    q.resize(static_cast<size_t>(groups * quantised.group()));
    scales.resize(static_cast<size_t>(groups));
    offsets.resize(scales.size());
    quantised.read(row, 0, groups, q.data(), scales.data(), offsets.data());
  }
  bool operator==(const Row&) const = default;
};

}  // namespace

TEST(integers_are_those_of_the_flag) {
  for (const auto& [quantization, bits, group] :
       {std::tuple(Quantization::Int8, 8, 32), std::tuple(Quantization::Int4, 4, 32),
        std::tuple(Quantization::Int4G128, 4, 128)}) {
    const test::TempFolder folder, out;
    test::write({"m", 64, 104, 2, 4, 2, 16, 90, {.bias = true, .n_shards = 3}}, folder);
    const QuantizedFolder written = quantize(folder.path, out.path, quantization);
    CHECK(written.tensors.size() == 14 && written.n_kept == 0);
    for (const QuantizedTensor& tensor : written.tensors)
      CHECK(tensor.error > (bits == 8 ? 0.001 : 0.02) && tensor.error < (bits == 8 ? 0.01 : 0.15));
    describe(folder.path, out, bits, group);
    Checkpoint dense = Checkpoint::open(folder.path), packed = Checkpoint::open(out.path);
    for (const TensorSpec& spec : tensor_specs(dense.config())) {
      const HostTensor &a = dense.get(spec.name, spec.shape), &b = packed.get(spec.name, spec.shape);
      CHECK((b.quantised != nullptr) == spec.name.ends_with("_proj.weight"));
      if (!b.quantised) {
        CHECK(a.dtype == b.dtype && std::memcmp(a.data, b.data, a.bytes()) == 0);
        continue;
      }
      const QuantisedParts parts(Use::Down, {&a, 1}, quantization);
      CHECK(!b.quantised->has_offsets() && b.quantised->bits() == bits && b.quantised->order().empty());
      for (int64_t row = 0; row < spec.shape[0]; ++row)
        CHECK(Row(*parts.parts()[0].quantised, row, spec.shape[1]) == Row(*b.quantised, row, spec.shape[1]));
    }
    CHECK(packed.unused().empty());
  }
}

TEST(sizes_that_no_words_hold_stay_plain) {
  const test::TempFolder folder, out;
  test::write({"odd", 64, 44, 1, 4, 2, 16, 90}, folder);
  CHECK(quantize(folder.path, out.path, Quantization::Int4).tensors.size() == 4);  // q, k, v, o
  describe(folder.path, out, 4, 32);
  Checkpoint packed = Checkpoint::open(out.path);
  CHECK(!packed.get("model.layers.0.mlp.down_proj.weight", {64, 44}).quantised);
  CHECK(packed.get("model.layers.0.self_attn.o_proj.weight", {64, 64}).quantised);
}

TEST(a_run_that_was_cut_goes_on) {
  const test::TempFolder folder, out;
  test::write({"m", 64, 96, 1, 4, 2, 16, 90}, folder);
  quantize(folder.path, out.path, Quantization::Int4);
  const std::string bytes = test::read_file(out.path + kShard);
  QuantizedFolder again = quantize(folder.path, out.path, Quantization::Int4);
  CHECK(again.n_kept == 1 && again.tensors.empty() && test::read_file(out.path + kShard) == bytes);
  // Another form, or half a file, is written anew.
  again = quantize(folder.path, out.path, Quantization::Int4G128);
  CHECK(again.n_kept == 0 && test::read_file(out.path + kShard) != bytes);
  out.write("model.safetensors", bytes.substr(0, bytes.size() - 1));
  CHECK(quantize(folder.path, out.path, Quantization::Int4).n_kept == 0);
  CHECK(test::read_file(out.path + kShard) == bytes && out.n_files() == 1);
}

TEST(shards_are_kept_one_by_one) {
  const test::TempFolder folder, out;
  test::write({"m", 64, 96, 2, 4, 2, 16, 90}, folder);
  const QuantizedFolder written = quantize(folder.path, out.path, Quantization::Int4, 20'000);
  const size_t n_shards = out.n_files() - 1;
  CHECK(n_shards > 3 && written.tensors.size() == 14);
  std::vector<std::string> names, before;
  for (const auto& file : std::filesystem::directory_iterator(out.path)) {
    names.push_back(file.path().filename());
    before.push_back(test::read_file(file.path()));
  }
  const std::string second = concat("/model-00002-of-0000", n_shards, ".safetensors");
  CHECK(std::filesystem::remove(out.path + second));
  std::filesystem::remove(out.path + "/model.safetensors.index.json");
  const QuantizedFolder again = quantize(folder.path, out.path, Quantization::Int4, 20'000);
  CHECK(again.n_kept == static_cast<int>(n_shards) - 1 && again.bytes == written.bytes);
  CHECK(!again.tensors.empty() && again.tensors.size() < 14);
  for (size_t i = 0; i < names.size(); ++i) CHECK(test::read_file(out.path + "/" + names[i]) == before[i]);
  describe(folder.path, out, 4, 32);
  Checkpoint packed = Checkpoint::open(out.path);
  for (const TensorSpec& spec : tensor_specs(packed.config())) packed.get(spec.name, spec.shape);
  CHECK(packed.unused().empty());

  // Shards of another source are made anew; files of another plan stand in the way.
  const test::TempFolder tuned;
  test::write({"m", 64, 96, 2, 4, 2, 16, 90}, tuned);
  std::filesystem::last_write_time(tuned.path + kShard,
                                   std::filesystem::file_time_type::clock::now() + std::chrono::hours(1));
  std::filesystem::remove(out.path + "/config.json");
  CHECK(quantize(tuned.path, out.path, Quantization::Int4, 20'000).n_kept == 0);
  THROWS("which is not of this model in this form; remove it", quantize(tuned.path, out.path, Quantization::Int4));
}

// Each input's group, in 32 bits: what other readers go by.
TEST(groups_are_named) {
  const test::TempFolder folder, out;
  test::write({"m", 64, 104, 1, 4, 2, 16, 90}, folder);
  quantize(folder.path, out.path, Quantization::Int4);
  const TensorFile file = open_safetensors(out.path + kShard);
  int n_found = 0;
  for (const HostTensor& tensor : file.tensors()) {
    if (!tensor.name.ends_with(".g_idx")) continue;
    ++n_found;
    for (int32_t i = 0; i < tensor.shape[0]; ++i) {
      int32_t group;
      std::memcpy(&group, tensor.data + i * 4, 4);
      CHECK(group == i / 32);
    }
  }
  CHECK(n_found == 7);
}

TEST(what_is_refused) {
  const test::TempFolder folder, out, there;
  test::write({"m", 64, 96, 1, 4, 2, 16, 90}, folder);
  there.write("config.json", "{}");
  THROWS("holds a config.json already", quantize(folder.path, there.path, Quantization::Int4));
  THROWS("must be int8, int4 or int4-g128", quantize(folder.path, out.path, Quantization::None));
  quantize(folder.path, out.path, Quantization::Int4);
  describe(folder.path, out, 4, 32);
  const test::TempFolder third;
  THROWS("is quantised already", quantize(out.path, third.path, Quantization::Int4));
  CHECK(third.n_files() == 0);

  // One infinity in the last matrix.
  std::string bytes = test::read_file(folder.path + kShard);
  Checkpoint checkpoint = Checkpoint::open(folder.path);
  const HostTensor& tensor = checkpoint.get("model.layers.0.mlp.down_proj.weight", {64, 96});
  const std::string row(reinterpret_cast<const char*>(tensor.data), 16);
  bytes.replace(bytes.find(row), 4, std::string("\x00\x00\x80\x7f", 4));
  folder.write("model.safetensors", bytes);
  THROWS("\"model.layers.0.mlp.down_proj.weight\" holds numbers that are not finite",
         quantize(folder.path, third.path, Quantization::Int4));
  CHECK(third.n_files() == 0);
}

TEST(biases_are_not_lost) {
  const test::TempFolder folder, out;
  test::write({"m", 64, 96, 1, 4, 2, 16, 90, {.bias = true}}, folder);
  std::string config = test::read_file(folder.path + "/config.json");
  config.replace(config.find("\"attention_bias\":true"), 21, "\"attention_bias\":false");
  folder.write("config.json", config);
  THROWS("_proj.bias\", which LlamaForCausalLM does not have as config.json describes it",
         quantize(folder.path, out.path, Quantization::Int4));
}
