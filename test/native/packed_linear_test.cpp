// Layers of GPTQ and AWQ folders mean what their packers put in; what does not fit together is refused.
#include "model/packed_linear.h"

#include "backend/error.h"
#include "backend/parts.h"
#include "files.h"
#include "model/checkpoint.h"
#include "packed_words.h"
#include "test.h"

using namespace gattling;
using test::PackedLayer;
using test::random_layer;
using test::SafetensorsBytes;

namespace {

std::string config(const std::string& quantization) {
  return "{\"quantization_config\":{" + quantization + "}}";
}

const std::string kGptq = R"("quant_method":"gptq","bits":4,"group_size":32)";
const std::string kAwq = R"("quant_method":"awq","bits":4,"group_size":32,"zero_point":true,"version":"gemm")";

struct Folder {
  explicit Folder(const SafetensorsBytes& weights, const std::string& config_json = "{}") {
    folder.write("config.json", config_json);
    folder.write("model.safetensors", weights.bytes());
  }
  Checkpoint open() const { return Checkpoint::open(folder.path); }

  test::TempFolder folder;
};

void check_values(Checkpoint checkpoint, const PackedLayer& layer, bool offsets) {
  CHECK(!checkpoint.has("a.qweight") && !checkpoint.has("a.scales") && !checkpoint.has("a.g_idx"));
  const HostTensor& tensor = checkpoint.get("a.weight", {layer.n, layer.k});
  CHECK(tensor.dtype == DType::F16 && tensor.quantised && tensor.quantised->bits() == layer.bits);
  CHECK(tensor.quantised->has_offsets() == offsets);
  std::vector<float> row(static_cast<size_t>(layer.k));
  for (int64_t output = 0; output < layer.n; ++output) {
    read_columns(tensor, output, 0, layer.k, row.data());
    for (int64_t input = 0; input < layer.k; ++input)
      if (row[static_cast<size_t>(input)] != layer.weight(output, input))
        test::failed(__FILE__, __LINE__, concat("output ", output, ", input ", input));
  }
  checkpoint.release("a.weight");
  CHECK(checkpoint.unused().empty());
}

SafetensorsBytes gptq_of(const PackedLayer& layer, bool less_one = true, bool with_groups = true) {
  SafetensorsBytes file;
  file.add_gptq("a", layer, less_one, with_groups);
  return file;
}

SafetensorsBytes awq_of(const PackedLayer& layer) {
  SafetensorsBytes file;
  file.add_awq("a", layer);
  return file;
}

}  // namespace

TEST(gptq_means_what_was_packed) {
  std::mt19937 random(1);
  for (int bits : {4, 8})
    for (int64_t group : {16, 32, 64, 128, 0})
      for (bool symmetric : {false, true})
        for (bool act_order : {false, true})
          for (bool less_one : {false, true}) {
            const int64_t k = 192;
            const PackedLayer layer = random_layer(random, bits, 24, k, group == 0 ? k : group, symmetric, act_order);
            const std::string json =
                config(concat(R"("quant_method":"gptq","bits":)", bits, R"(,"group_size":)", group == 0 ? -1 : group,
                              R"(,"checkpoint_format":")", less_one ? "gptq" : "gptq_v2", '"'));
            check_values(Folder(gptq_of(layer, less_one, act_order), json).open(), layer, !symmetric);
          }
}

TEST(awq_means_what_was_packed) {
  std::mt19937 random(2);
  for (int64_t group : {32, 64, 128, 0})
    for (bool symmetric : {false, true}) {
      const int64_t k = 160;
      const PackedLayer layer = random_layer(random, 4, 40, k, group == 0 ? k : group, symmetric, false);
      const std::string json =
          config(concat(R"("quant_method":"awq","bits":4,"zero_point":true,"group_size":)", group == 0 ? -1 : group));
      check_values(Folder(awq_of(layer), json).open(), layer, !symmetric);
    }
}

// By hand: AutoAWQ puts output 1 into bits 16 to 19; AutoGPTQ puts input 1 into bits 4 to 7, and zero 8 as 7.
TEST(words_written_by_hand) {
  const std::string one_scale = std::string("\x00\x3c", 2);  // 1.0
  std::string scales;
  for (int i = 0; i < 8; ++i) scales += one_scale;
  std::string awq_words = test::words_in_bytes({0x000a0000});
  for (int i = 1; i < 8; ++i) awq_words += test::words_in_bytes({0});
  SafetensorsBytes awq;
  awq.add("a.qweight", "I32", {8, 1}, awq_words);
  awq.add("a.qzeros", "I32", {1, 1}, test::words_in_bytes({0}));
  awq.add("a.scales", "F16", {1, 8}, scales);
  Folder folder(awq, config(kAwq));
  Checkpoint checkpoint = folder.open();
  std::vector<float> row(8);
  for (int64_t output = 0; output < 8; ++output) {
    read_columns(checkpoint.get("a.weight", {8, 8}), output, 0, 8, row.data());
    CHECK(row[0] == (output == 1 ? 10 : 0) && row[1] == 0);
  }

  SafetensorsBytes gptq;
  gptq.add("a.qweight", "I32", {1, 8}, test::words_in_bytes({0x88888898, 0, 0, 0, 0, 0, 0, 0}));
  gptq.add("a.qzeros", "I32", {1, 1}, test::words_in_bytes({0x77777777}));
  gptq.add("a.scales", "F16", {1, 8}, scales);
  Folder other(gptq, config(kGptq));
  Checkpoint second = other.open();
  read_columns(second.get("a.weight", {8, 8}), 0, 0, 8, row.data());
  CHECK(row == std::vector<float>({0, 1, 0, 0, 0, 0, 0, 0}));
}

TEST(older_folders_say_it_in_files_of_their_own) {
  std::mt19937 random(3);
  const PackedLayer layer = random_layer(random, 4, 16, 64, 32, false, false);
  Folder gptq(gptq_of(layer));
  THROWS("holds packed integers (.qweight), but config.json has no \"quantization_config\"", gptq.open());
  gptq.folder.write("quantize_config.json", R"({"bits":4,"group_size":32,"desc_act":false,"sym":false})");
  check_values(gptq.open(), layer, true);
  Folder awq(awq_of(layer));
  awq.folder.write("quant_config.json", R"({"zero_point":true,"q_group_size":32,"w_bit":4,"version":"GEMM"})");
  check_values(awq.open(), layer, true);
}

TEST(forms_that_are_not_read) {
  std::mt19937 random(4);
  const PackedLayer layer = random_layer(random, 4, 16, 64, 32, false, false);
  const std::pair<const char*, const char*> cases[] = {
      {R"("quant_method":"fp8")",
       "config.json, in \"quantization_config\": \"quant_method\" is the string \"fp8\"; expected "
       "is gptq or awq"},
      {R"("bits":4)", "\"quant_method\" is missing"},
      {R"("quant_method":"gptq","bits":3)", "\"bits\" is 3; expected is 4 or 8"},
      {R"("quant_method":"gptq","bits":4,"group_size":48)", "\"group_size\" is 48; expected is 16, 32, 64, 128 or -1"},
      {R"("quant_method":"gptq","bits":4,"checkpoint_format":"marlin")", "expected is gptq or gptq_v2"},
      {R"("quant_method":"gptq","bits":4,"is_marlin_format":true)", "\"is_marlin_format\" is true; expected is false"},
      {R"("quant_method":"awq","bits":8)", "\"bits\" is 8; expected is 4"},
      {R"("quant_method":"awq","bits":4,"version":"gemv")", "\"version\" is the string \"gemv\"; expected is gemm"},
      {R"("quant_method":"awq","bits":4,"zero_point":false)", "\"zero_point\" is false; expected is true"},
  };
  for (const auto& [json, message] : cases) THROWS(message, Folder(gptq_of(layer), config(json)).open());
  SafetensorsBytes eight;
  eight.add("a.weight", "F8_E4M3", {2}, "01");
  THROWS("\"quant_method\" is the string \"fp8\"", Folder(eight, config(R"("quant_method":"fp8")")).open());
  THROWS("\"quantization_config\" is 4; expected is an object",
         Folder(gptq_of(layer), R"({"quantization_config":4})").open());
}

TEST(tensors_that_do_not_fit_together) {
  std::mt19937 random(5);
  const PackedLayer layer = random_layer(random, 4, 16, 64, 32, false, true);
  const std::string words(64 * 16 / 2, 'x'), zeros(2 * 2 * 4, 'x'), scales(2 * 16 * 2, 'x');
  const auto refuses = [](const std::string& message, const SafetensorsBytes& file, const std::string& json) {
    Folder folder(file, json);
    THROWS(message, folder.open());
  };
  const auto with = [&](const char* dtype, std::vector<int64_t> weights, std::vector<int64_t> zero_shape,
                        std::vector<int64_t> scale_shape) {
    SafetensorsBytes file;
    file.add("a.qweight", dtype, weights, words);
    file.add("a.qzeros", "I32", zero_shape, zeros);
    file.add("a.scales", "F16", scale_shape, scales);
    return file;
  };
  refuses("tensor \"a.qweight\" is stored as float32; expected is int32", with("F32", {8, 16}, {2, 2}, {2, 16}),
          config(kGptq));
  refuses("tensor \"a.qzeros\" has the shape [4, 1]; expected beside the other tensors of a, by ",
          with("I32", {8, 16}, {4, 1}, {2, 16}), config(kGptq));
  refuses("tensor \"a.scales\" has the shape [1, 32]; expected beside", with("I32", {4, 32}, {2, 2}, {1, 32}),
          config(R"("quant_method":"gptq","bits":4,"group_size":16)"));
  refuses("tensor \"a.qweight\" has the shape [8, 16]; expected beside the other tensors of a",
          with("I32", {8, 16}, {2, 2}, {2, 16}), config(kAwq));
  refuses("tensor \"a.qweight\" has 1 dimensions", with("I32", {128}, {2, 2}, {2, 16}), config(kGptq));

  SafetensorsBytes lone;
  lone.add("a.qweight", "I32", {8, 16}, words);
  refuses("does not hold the tensor \"a.qzeros\"", lone, config(kGptq));

  SafetensorsBytes both = gptq_of(layer);
  both.add("a.weight", "F32", {2}, "01234567");
  refuses("holds both \"a.qweight\" and \"a.weight\"", both, config(kGptq));

  for (const auto& [group, message] :
       {std::pair(2, "puts input 0 into group 2 of 2"), std::pair(-1, "into group -1 of 2"),
        std::pair(1, "puts more than 32 inputs into group 1")}) {
    PackedLayer wrong = random_layer(random, 4, 16, 64, 32, false, false);
    wrong.groups[0] = group;
    refuses(message, gptq_of(wrong), config(kGptq));
  }
}

TEST(integers_where_numbers_belong) {
  SafetensorsBytes file;
  file.add("a.weight", "I32", {2}, "01234567");
  Folder folder(file);
  Checkpoint checkpoint = folder.open();
  THROWS("tensor \"a.weight\" is stored as I32; expected is F32, BF16 or F16", checkpoint.get("a.weight", {2}));
}
