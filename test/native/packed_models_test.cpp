// Whole models out of GPTQ and AWQ folders: what they compute is what the plain numbers do.
#include <algorithm>
#include <cmath>
#include <random>

#include "backend/parts.h"
#include "greedy.h"
#include "model/checkpoint.h"
#include "model/safetensors.h"
#include "model/weights.h"
#include "packed_words.h"
#include "test.h"
#include "tiny_model.h"

using namespace gattling;
using test::PackedLayer;
using test::SafetensorsBytes;
using Told = test::Caller::Told;

namespace {

const test::TinyModel kModel = {"packed", 64, 96, 2, 4, 2, 16, 96, {.bias = true}};

bool is_linear(const std::string& name) {
  return name.ends_with("_proj.weight");
}

std::string as_bytes(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

// The same random layers as plain numbers, and as they are packed.
struct Models {
  Models(bool act_order, bool symmetric) {
    std::mt19937 random(11);
    test::write(kModel, plain);
    const std::string config = test::read_file(plain.path + "/config.json");
    SafetensorsBytes as_plain, as_gptq, as_awq;
    Checkpoint checkpoint = Checkpoint::open(plain.path);
    for (const TensorSpec& spec : tensor_specs(checkpoint.config())) {
      if (!is_linear(spec.name)) {
        const HostTensor& tensor = checkpoint.get(spec.name, spec.shape);
        const std::string bytes(reinterpret_cast<const char*>(tensor.data), tensor.bytes());
        for (SafetensorsBytes* file : {&as_plain, &as_gptq, &as_awq}) file->add(spec.name, "F32", spec.shape, bytes);
        continue;
      }
      const int64_t n = spec.shape[0], k = spec.shape[1];
      const float size = 1.7f / std::sqrt(static_cast<float>(k));
      const PackedLayer layer = test::random_layer(random, 4, n, k, 32, symmetric, act_order, size);
      const std::string name = spec.name.substr(0, spec.name.size() - std::strlen(".weight"));
      as_gptq.add_gptq(name, layer, true, act_order);
      as_awq.add_awq(name, layer);
      // Early packers put zeros beside every layer.
      if (spec.name.find(".mlp.") != spec.name.npos)
        as_gptq.add(name + ".bias", "F16", {n}, std::string(static_cast<size_t>(2 * n), '\0'));
      std::vector<float> values;
      for (int64_t output = 0; output < n; ++output)
        for (int64_t input = 0; input < k; ++input) values.push_back(layer.weight(output, input));
      as_plain.add(spec.name, "F32", spec.shape, as_bytes(values));
    }
    const std::string before =
        config.substr(0, config.size() - 1) + R"(,"quantization_config":{"bits":4,"group_size":32,)";
    gptq.write("config.json", before + R"("quant_method":"gptq"}})");
    gptq.write("model.safetensors", as_gptq.bytes());
    awq.write("config.json", before + R"("quant_method":"awq"}})");
    awq.write("model.safetensors", as_awq.bytes());
    plain.write("model.safetensors", as_plain.bytes());
  }

  test::TempFolder plain, gptq, awq;
};

Told told_by(const test::TempFolder& folder) {
  return test::greedy(folder.path, DType::F32, test::prompt_of(kModel.vocab));
}

}  // namespace

TEST(both_packings_are_the_same_bits) {
  for (bool symmetric : {false, true}) {
    const Models models(false, symmetric);
    const Told a = told_by(models.gptq), b = told_by(models.awq);
    CHECK(a.tokens == b.tokens && a.scored == b.scored && a.prompt_scored == b.prompt_scored);
  }
}

// Activations are rounded to integers; the weights are the same numbers.
TEST(packed_models_are_near_the_plain_ones) {
  for (bool act_order : {false, true})
    for (bool symmetric : {false, true}) {
      const Models models(act_order, symmetric);
      const Told packed = told_by(models.gptq), plain = told_by(models.plain);
      double distance = 0, spread = 0;
      for (size_t i = 0; i < packed.prompt_scored.size(); ++i) {
        distance += std::abs(packed.prompt_scored[i].logprob - plain.prompt_scored[i].logprob);
        spread += std::abs(plain.prompt_scored[i].logprob + std::log(static_cast<double>(kModel.vocab)));
      }
      std::printf("act-order %d, symmetric %d: distance %.4f of %.4f\n", act_order, symmetric, distance, spread);
      CHECK(distance < 0.05 * spread);
    }
}

TEST(biases_that_the_config_lacks) {
  const Models models(false, true);
  std::string bytes = test::read_file(models.gptq.path + "/model.safetensors");
  const std::string name = "model.layers.1.mlp.up_proj.bias";
  const TensorFile file = open_safetensors(models.gptq.path + "/model.safetensors");
  const auto bias = std::ranges::find(file.tensors(), name, &HostTensor::name);
  CHECK(bias != file.tensors().end());
  bytes[bytes.size() - static_cast<size_t>(file.tensors().back().data + file.tensors().back().bytes() - bias->data)] =
      1;
  models.gptq.write("model.safetensors", bytes);
  THROWS(name + "\", which LlamaForCausalLM does not have", told_by(models.gptq));
}
