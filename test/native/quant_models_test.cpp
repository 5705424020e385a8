// Whole models with --quantization: how far their log-probabilities move, on text that the dense model wrote itself
// (sampled at temperature 1, so that the dense perplexity is that of the model's own distribution), and that a
// request's bits still do not depend on its neighbours. Prints the table of docs/models.md.
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "backend/quantise.h"
#include "caller.h"
#include "models.h"
#include "test.h"

using namespace gattling;

namespace {

const std::string kDemo = std::string(GATTLING_SOURCE_DIR) + "/models/demo";
const std::string kStories = std::string(GATTLING_SOURCE_DIR) + "/../shared/refs/stories260K";
constexpr int kTexts = 16, kLength = 160;

using Texts = std::vector<std::vector<int32_t>>;

LoadOptions options_for(const std::string& folder, Quantization quantization) {
  LoadOptions options;
  options.folder = folder;
  options.device = "cpu";
  options.quantization = quantization;
  options.max_num_seqs = kTexts;
  options.max_model_len = 256;
  options.kv_cache_memory = 64 << 20;
  return options;
}

std::vector<std::string> folders() {
  std::vector<std::string> all = {kDemo};
  if (std::filesystem::exists(kStories + "/config.json"))
    all.push_back(kStories);
  else
    std::printf("skipped: %s is not there\n", kStories.c_str());
  return all;
}

std::unique_ptr<Sequence> sampled(int seed, int32_t first) {
  auto s = std::make_unique<Sequence>();
  s->tokens = {1, first};
  s->max_tokens = kLength;
  s->sampling.temperature = 1;
  s->sampling.seed = static_cast<uint64_t>(seed);
  return s;
}

Texts texts_of(const std::string& folder) {
  test::Caller caller(load_model(options_for(folder, Quantization::None), nullptr));
  std::vector<uint32_t> ids;
  for (int i = 0; i < kTexts; ++i) ids.push_back(caller.engine.submit(sampled(i, 300 + i)));
  Texts texts;
  for (int i = 0; i < kTexts; ++i) {
    const uint32_t id = ids[static_cast<size_t>(i)];
    caller.wait_for(id);
    texts.push_back({1, 300 + i});
    texts.back().insert(texts.back().end(), caller.told[id].tokens.begin(), caller.told[id].tokens.end());
  }
  return texts;
}

struct Scores {
  std::vector<double> logprobs;  // of every token of the texts but each one's first two
  uint64_t weight_bytes;

  double perplexity() const {
    double sum = 0;
    for (double value : logprobs) sum -= value;
    return std::exp(sum / static_cast<double>(logprobs.size()));
  }
  double mean_distance(const Scores& other) const {
    double sum = 0;
    for (size_t i = 0; i < logprobs.size(); ++i) sum += std::abs(logprobs[i] - other.logprobs[i]);
    return sum / static_cast<double>(logprobs.size());
  }
};

Scores score(const LoadOptions& options, const Texts& texts) {
  auto model = load_model(options, nullptr);
  Scores scores{{}, model->info().weight_bytes};
  CHECK(model->info().quantization == options.quantization);
  test::Caller caller(std::move(model));
  for (const std::vector<int32_t>& text : texts) {
    auto s = std::make_unique<Sequence>();
    s->tokens = text;
    s->max_tokens = 0;
    s->prompt_top = 0;
    const uint32_t id = caller.engine.submit(std::move(s));
    caller.wait_for(id);
    const auto& scored = caller.told[id].prompt_scored;
    CHECK(scored.size() == text.size() - 1);
    for (size_t i = 1; i < scored.size(); ++i) scores.logprobs.push_back(scored[i].logprob);
  }
  return scores;
}

std::vector<test::Caller::Scored> continued(const std::string& folder, Quantization quantization, int n_neighbours,
                                            int chunk, int threads) {
  LoadOptions options = options_for(folder, quantization);
  options.max_num_batched_tokens = chunk;
  options.threads = threads;
  test::Caller caller(load_model(options, nullptr));
  std::vector<uint32_t> ids;
  for (int i = 0; i < n_neighbours; ++i) ids.push_back(caller.engine.submit(sampled(i, 400 + i)));
  auto s = sampled(77, 300);
  for (int32_t i = 0; i < 40; ++i) s->tokens.push_back(100 + i * 7);
  s->max_tokens = 20;
  s->top = 5;
  const uint32_t id = caller.engine.submit(std::move(s));
  caller.wait_for(id);
  for (uint32_t neighbour : ids) caller.wait_for(neighbour);
  return caller.told[id].scored;
}

}  // namespace

TEST(perplexity_moves_little) {
  std::printf("| model | weights | bytes | perplexity | mean distance of a token's log-probability |\n");
  for (const std::string& folder : folders()) {
    const Texts texts = texts_of(folder);
    const Scores dense = score(options_for(folder, Quantization::None), texts);
    double last = 0;
    for (const Quantization quantization :
         {Quantization::None, Quantization::Int8, Quantization::Int4, Quantization::Int4G128}) {
      const Scores scores = score(options_for(folder, quantization), texts);
      const double distance = scores.mean_distance(dense), ratio = scores.perplexity() / dense.perplexity();
      std::printf("| %s | %s | %llu | %.3f (%+.2f %%) | %.4f |\n", std::filesystem::path(folder).filename().c_str(),
                  name_of(quantization), static_cast<unsigned long long>(scores.weight_bytes), scores.perplexity(),
                  (ratio - 1) * 100, distance);
      if (quantization == Quantization::None) continue;
      CHECK(distance > last);  // it is not the dense model in disguise, and fewer bits cost more
      CHECK(scores.weight_bytes < dense.weight_bytes * 6 / 10);
      CHECK(ratio < (quantization == Quantization::Int8 ? 1.005 : quantization == Quantization::Int4 ? 1.15 : 1.3));
      CHECK(distance < (quantization == Quantization::Int8 ? 0.03 : 0.5));
      last = distance;
    }
  }
}

TEST(a_cache_of_int8_moves_perplexity_little) {
  for (const std::string& folder : folders()) {
    const Texts texts = texts_of(folder);
    const Scores dense = score(options_for(folder, Quantization::None), texts);
    LoadOptions options = options_for(folder, Quantization::None);
    options.kv_dtype = DType::Int8;
    const Scores ints = score(options, texts);
    const double distance = ints.mean_distance(dense), ratio = ints.perplexity() / dense.perplexity();
    std::printf("| %s | none, --kv-cache-dtype int8 | | %.3f (%+.2f %%) | %.4f |\n",
                std::filesystem::path(folder).filename().c_str(), ints.perplexity(), (ratio - 1) * 100, distance);
    CHECK(distance > 0 && distance < 0.06);
    CHECK(ratio < 1.005);
  }
}

TEST(bits_do_not_depend_on_the_batch) {
  for (const Quantization quantization : {Quantization::Int8, Quantization::Int4}) {
    const auto alone = continued(kDemo, quantization, 0, 256, 2);
    CHECK(alone.size() == 20);
    CHECK(alone == continued(kDemo, quantization, 5, 256, 2));
    CHECK(alone == continued(kDemo, quantization, 14, 33, 2));
    CHECK(alone == continued(kDemo, quantization, 2, 1, 1));
  }
}
