// Log-probabilities against the float64 references of test/fixtures/models (reference.json: made by transformers, eager
// attention, from the stored weights).
#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "backend/error.h"
#include "backend/quantise.h"
#include "caller.h"
#include "models.h"
#include "test.h"

using namespace gattling;
using test::ids_of;

namespace {

// The same tests run on the emulated GPU, or on a real one, where types of 32 bits are not.
#ifndef GATTLING_TEST_DEVICE
#define GATTLING_TEST_DEVICE "cpu"
#endif
const std::string kDevice = GATTLING_TEST_DEVICE;

struct Expected {
  std::vector<int32_t> tokens;                               // prompt and greedy continuation
  std::vector<double> logprobs;                              // of tokens[i + 1]
  std::vector<std::vector<std::pair<int32_t, double>>> top;  // the five best at the continuation's places
  size_t n_prompt;
};

std::vector<Expected> references(const Json& file) {
  std::vector<Expected> out;
  for (const Json& c : file.at("cases").array()) {
    Expected e{ids_of(c.at("prompt")), {}, {}, 0};
    e.n_prompt = e.tokens.size();
    for (const Json& value : c.at("prompt_logprobs").array())
      if (!value.is_null()) e.logprobs.push_back(value.number());
    for (const Json& step : c.at("greedy").array()) {
      e.tokens.push_back(static_cast<int32_t>(step.at("token").integer()));
      e.logprobs.push_back(step.at("top").array()[0].array()[1].number());
      std::vector<std::pair<int32_t, double>> best;
      for (const Json& pair : step.at("top").array())
        best.emplace_back(static_cast<int32_t>(pair.array()[0].integer()), pair.array()[1].number());
      e.top.push_back(best);
    }
    out.push_back(e);
  }
  return out;
}

// |computed - reference| of every token, and of the `best` best (up to five) at every place of the continuation.
std::vector<double> errors(const std::string& name, const LoadOptions& options, const Json& file, size_t best = 5) {
  test::Caller caller(load_model(options, nullptr));
  std::vector<double> out;
  for (const Expected& e : references(file)) {
    auto s = std::make_unique<Sequence>();
    s->tokens = e.tokens;
    s->max_tokens = 0;
    s->prompt_top = 20;
    const uint32_t id = caller.engine.submit(std::move(s));
    caller.wait_for(id);
    const auto& told = caller.told[id];
    if (told.finish != static_cast<int>(FinishCode::Length)) test::failed(__FILE__, __LINE__, name + ": " + told.error);
    CHECK(told.prompt_scored.size() == e.logprobs.size());
    for (size_t i = 0; i < e.logprobs.size(); ++i)
      out.push_back(std::abs(told.prompt_scored[i].logprob - e.logprobs[i]));
    for (size_t i = 0; i < e.top.size(); ++i) {
      const auto& scored = told.prompt_scored[e.n_prompt - 1 + i];
      for (const auto& [token, logprob] : std::span(e.top[i]).first(best)) {
        const auto found = std::ranges::find(scored.top_ids, token);
        CHECK(found != scored.top_ids.end());
        out.push_back(std::abs(scored.top_logprobs[found - scored.top_ids.begin()] - logprob));
      }
    }
  }
  std::ranges::sort(out);
  return out;
}

LoadOptions options_for(const std::string& name) {
  LoadOptions options;
  options.folder = test::fixture(name);
  options.device = kDevice;
  options.kv_cache_memory = 64 << 20;
  options.max_num_seqs = 4;
  return options;
}

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

void expect_within_noise(const std::string& unit) {
  for (const std::string& name : test::kModels) {
    LoadOptions options = options_for(name);
    options.unit = unit;
    const Json file = test::read_json(options.folder + "/reference.json");
    const auto e = errors(name, options, file);
    const Json& noise = file.at("noise").at(name == "mqa-f16" ? "float16" : "bfloat16");
    const double mean = mean_of(e);
    const double p99 = e[e.size() * 99 / 100];
    std::printf("%s %s: mean %.4f of %.4f, p99 %.4f of %.4f\n", unit.c_str(), name.c_str(), mean,
                noise.at("mean").number(), p99, noise.at("p99").number());
    CHECK(mean <= 1.25 * noise.at("mean").number());
    CHECK(p99 <= 1.5 * noise.at("p99").number());
  }
}

}  // namespace

TEST(float32_is_within_two_thousandths) {
  if (kDevice != "cpu") return;
  for (const std::string& name : test::kModels) {
    LoadOptions options = options_for(name);
    options.dtype = DType::F32;
    const auto e = errors(name, options, test::read_json(options.folder + "/reference.json"));
    std::printf("%s float32: max %.2e of %zu\n", name.c_str(), e.back(), e.size());
    CHECK(e.back() < 0.002);
  }
}

TEST(the_default_class_is_within_its_noise) {
  expect_within_noise("");
}

TEST(products_of_bf16_in_tiles_are_within_it_too) {
  if (kDevice == "cpu") expect_within_noise("amx-twin");
}

TEST(every_unit_and_type_gives_the_same_text) {
  if (kDevice != "cpu") return;
  for (const std::string& name : test::kModels)
    for (const char* unit : {"plain", "avx2", "avx512"}) {
      LoadOptions options = options_for(name);
      options.dtype = DType::F32;
      options.unit = unit;
      const auto available = [&] {
        try {
          return load_model(options, nullptr) != nullptr;
        } catch (const Error&) {
          return false;
        }
      };
      if (!available()) {
        std::printf("skipped: %s is not on this machine\n", unit);
        continue;
      }
      test::Caller caller(load_model(options, nullptr));
      const Json file = test::read_json(options.folder + "/reference.json");
      for (const Json& c : file.at("cases").array()) {
        auto s = std::make_unique<Sequence>();
        s->tokens = ids_of(c.at("prompt"));
        s->max_tokens = static_cast<int>(c.at("greedy").array().size());
        s->sampling.temperature = 0;
        const uint32_t id = caller.engine.submit(std::move(s));
        caller.wait_for(id);
        size_t i = 0;
        for (const Json& step : c.at("greedy").array()) {
          // A tie within the tolerance may go either way; the rest of the text then differs.
          const auto& top = step.at("top").array();
          if (top[0].array()[1].number() - top[1].array()[1].number() < 0.004) break;
          CHECK(caller.told[id].tokens[i++] == step.at("token").integer());
        }
      }
    }
}

// Of random weights, which no group of integers suits: docs/models.md has the table.
TEST(integers_for_weights_stay_near) {
  const bool emulated = kDevice != "cpu";  // which is slow
  for (const std::string& name : test::kModels) {
    double last = 0;
    for (const Quantization quantization : {Quantization::Int8, Quantization::Int4}) {
      if (emulated && (name != "gqa-llama3rope-tied" || quantization != Quantization::Int8)) continue;
      LoadOptions options = options_for(name);
      options.quantization = quantization;
      const auto e = errors(name, options, test::read_json(options.folder + "/reference.json"), 0);
      const double mean = mean_of(e), p99 = e[e.size() * 99 / 100];
      std::printf("| %s | %s | %.4f | %.4f |\n", name.c_str(), name_of(quantization), mean, p99);
      CHECK(mean > last && mean < (quantization == Quantization::Int8 ? 0.4 : 4));
      last = mean;
    }
  }
}
