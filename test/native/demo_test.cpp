// The demo model's greedy answers (test/fixtures/demo-greedy.json, made by training/goldens.py in PyTorch): each token
// leads the next best by 0.25 nat at least, so every unit, type and batch must give them.
#include <algorithm>
#include <cstdio>
#include <span>

#include "backend/error.h"
#include "caller.h"
#include "models.h"
#include "test.h"

using namespace gattling;
using test::ids_of;

namespace {

#ifndef GATTLING_TEST_DEVICE
#define GATTLING_TEST_DEVICE "cpu"
#endif
const std::string kDevice = GATTLING_TEST_DEVICE;
const std::string kFolder = std::string(GATTLING_SOURCE_DIR) + "/models/demo";
const std::string kGoldens = std::string(GATTLING_SOURCE_DIR) + "/test/fixtures/demo-greedy.json";

LoadOptions options_for(const char* unit, DType dtype, DType kv) {
  LoadOptions options;
  options.folder = kFolder;
  options.device = kDevice;
  options.unit = unit;
  options.dtype = dtype;
  options.kv_dtype = kv;
  options.max_num_seqs = 32;
  options.kv_cache_memory = 64 << 20;
  return options;
}

std::unique_ptr<Model> load_or_null(const LoadOptions& options) {
  try {
    return load_model(options, nullptr);
  } catch (const Error& error) {
    std::printf("skipped: %s\n", error.what());
    return nullptr;
  }
}

void check_answers(std::unique_ptr<Model> model, size_t count = 20) {
  const Json file = test::read_json(kGoldens);
  test::Caller caller(std::move(model));
  std::vector<uint32_t> ids;
  for (const Json& golden : std::span(file.array()).first(count)) {
    auto s = std::make_unique<Sequence>();
    s->tokens = ids_of(golden.at("prompt"));
    s->max_tokens = static_cast<int>(golden.at("answer").array().size());
    s->sampling.temperature = 0;
    ids.push_back(caller.engine.submit(std::move(s)));
  }
  CHECK(file.array().size() == 20);
  for (size_t i = 0; i < ids.size(); ++i) {
    caller.wait_for(ids[i]);
    CHECK(caller.told[ids[i]].tokens == ids_of(file.array()[i].at("answer")));
  }
}

}  // namespace

TEST(every_unit_gives_the_golden_answers) {
  if (kDevice != "cpu") return;
  for (const char* unit : {"plain", "avx2", "avx512"})
    if (auto model = load_or_null(options_for(unit, DType::BF16, DType::BF16))) check_answers(std::move(model));
}

TEST(every_type_gives_the_golden_answers) {
  if (kDevice != "cpu") return;
  for (const DType dtype : {DType::F32, DType::BF16, DType::F16})
    for (const DType kv : {DType::F32, DType::BF16, DType::F16})
      check_answers(load_model(options_for("", dtype, kv), nullptr));
}

TEST(weights_of_8_bits_give_the_golden_answers) {
  if (kDevice != "cpu") return;
  for (const char* unit : {"plain", "avx2", "avx512", "avx512vnni"}) {
    LoadOptions options = options_for(unit, DType::BF16, DType::BF16);
    options.quantization = Quantization::Int8;
    if (auto model = load_or_null(options)) check_answers(std::move(model));
  }
}

TEST(a_gpu_gives_the_golden_answers) {
  if (kDevice == "cpu") return;
  for (const DType dtype : {DType::BF16, DType::F16})
    check_answers(load_model(options_for("", dtype, dtype), nullptr), 4);
}
