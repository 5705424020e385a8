// Shapes that no fixture has: the engine's log-probabilities and greedy text against the plain forward pass in double.
#include <algorithm>
#include <cmath>
#include <map>
#include <random>

#include "backend/error.h"
#include "caller.h"
#include "forward_reference.h"
#include "models.h"
#include "test.h"
#include "tiny_model.h"

using namespace gattling;
using test::TinyModel;

namespace {

constexpr RopeConfig kLinear = {RopeType::Linear, 10000, 2.5};
// Of the wavelengths 6.3, 20, 63 .. the first stays, the second blends, the others are stretched.
constexpr RopeConfig kLlama3 = {RopeType::Llama3, 10000, 4, 1, 4, 32};
constexpr RopeConfig kTheta = {RopeType::Default, 500};

constexpr const char* kMistral = "MistralForCausalLM";
constexpr const char* kQwen2 = "Qwen2ForCausalLM";

// name, hidden, ffn, layers, query heads, KV heads, head size, vocabulary
const TinyModel kTable[] = {
    {"least", 8, 8, 1, 1, 1, 8, 17},
    {"odd hidden", 97, 251, 2, 3, 1, 24, 101, {.old_keys = true}},
    {"hidden 96, ffn 250", 96, 250, 2, 6, 2, 16, 300, {.storage = DType::BF16}},
    {"one layer, one wide head", 40, 33, 1, 1, 1, 256, 65},
    {"head 8", 64, 172, 3, 8, 8, 8, 257, {.storage = DType::F16, .old_keys = true}},
    {"head 16, group 16", 64, 96, 2, 16, 1, 16, 129},
    {"head 8, groups of 16", 48, 100, 2, 32, 2, 8, 64, {.storage = DType::BF16}},
    {"head 24", 72, 190, 2, 3, 3, 24, 511, {.old_keys = true}},
    {"head 40", 80, 200, 2, 4, 2, 40, 1000, {.storage = DType::F16, .n_shards = 3}},
    {"head 64, group 8", 128, 130, 2, 8, 1, 64, 200, {.tied = true}},
    {"head 80, implied", 160, 90, 2, 2, 1, 80, 99, {.old_keys = true}},
    {"head 128, group 4", 96, 160, 1, 4, 1, 128, 333, {.storage = DType::BF16}},
    {"head 256, group 2", 64, 64, 2, 2, 1, 256, 40},
    {"group 3, sharded", 96, 256, 3, 12, 4, 8, 512, {.tied = true, .storage = DType::BF16, .n_shards = 5}},
    {"mixed types", 72, 135, 2, 6, 3, 12, 90, {.storage = DType::BF16, .mixed = true}},
    {"large eps", 56, 77, 2, 7, 7, 8, 18, {.eps = 0.3}},
    {"theta 500", 64, 128, 2, 4, 2, 16, 128, {.rope = kTheta}},
    {"theta 500, old keys", 64, 128, 2, 4, 4, 16, 128, {.rope = kTheta, .old_keys = true}},
    {"linear rope", 64, 128, 2, 4, 2, 16, 128, {.rope = kLinear}},
    {"linear rope, old keys", 64, 128, 2, 4, 2, 32, 130, {.rope = kLinear, .storage = DType::F16, .old_keys = true}},
    {"llama3 rope", 64, 128, 2, 4, 2, 16, 128, {.tied = true, .rope = kLlama3}},
    {"llama3 rope, old keys", 64, 128, 3, 8, 2, 64, 127, {.rope = kLlama3, .storage = DType::BF16, .old_keys = true}},
    {"all biases", 60, 140, 2, 5, 5, 12, 222, {.bias = true}},
    {"all biases, sharded", 96, 250, 2, 6, 2, 24, 222, {.bias = true, .storage = DType::BF16, .n_shards = 2}},
    {"window 23", 64, 150, 3, 8, 2, 8, 250, {.architecture = kMistral, .window = 23}},
    {"window 1", 64, 80, 2, 4, 4, 16, 50, {.architecture = kMistral, .window = 1}},
    {"window 7, wide head", 64, 80, 2, 4, 1, 128, 50, {.architecture = kMistral, .window = 7, .storage = DType::F16}},
    {"window 48, old keys", 64, 80, 2, 4, 2, 40, 77, {.architecture = kMistral, .window = 48, .old_keys = true}},
    {"no window", 64, 80, 2, 4, 2, 16, 77, {.architecture = kMistral}},
    {"Qwen2", 64, 172, 2, 4, 2, 16, 400, {.architecture = kQwen2, .tied = true, .storage = DType::BF16}},
    {"Qwen2, window 11", 70, 99, 2, 7, 1, 10, 100, {.architecture = kQwen2, .window = 11, .old_keys = true}},
};

constexpr size_t kLengths[] = {1, 2, 17, 33, 100};
constexpr int kContinuation = 12;
constexpr int kTop = 20;
constexpr double kTolerance = 2e-4;  // of log-probabilities; logits reach 30

struct Run {
  int block_size;
  int chunk;  // tokens of a step at most
  const char* unit;
};
constexpr Run kRuns[] = {{16, 7, ""}, {16, 512, "plain"}, {32, 7, "plain"}, {32, 512, ""}};

LoadOptions options_for(const std::string& folder, const Run& run) {
  LoadOptions options;
  options.folder = folder;
  options.device = "cpu";
  options.dtype = options.kv_dtype = DType::F32;
  options.max_num_seqs = std::size(kLengths);
  options.max_num_batched_tokens = run.chunk;
  options.block_size = run.block_size;
  options.kv_cache_memory = 32 << 20;
  options.threads = 2;
  options.unit = run.unit;
  return options;
}

// The reference's answers; a text is computed once.
class Expected {
 public:
  Expected(const ModelConfig& config, Checkpoint checkpoint) : model_(config, checkpoint), vocab_(config.vocab_size) {}

  // [V] after each token
  const reference::Matrix& logprobs(const std::vector<int32_t>& tokens) {
    auto [at, is_new] = known_.try_emplace(tokens);
    if (is_new) at->second = model_.logprobs(tokens);
    return at->second;
  }
  int vocab() const { return vocab_; }

 private:
  reference::Transformer model_;
  int vocab_;
  std::map<std::vector<int32_t>, reference::Matrix> known_;
};

// The largest difference of a place: its token's log-probability, the best ones by id, and their order.
double difference(const test::Caller::Scored& scored, const double* expected, int vocab) {
  double worst = std::abs(scored.logprob - expected[scored.token]);
  std::vector<double> best(expected, expected + vocab);
  std::ranges::sort(best, std::greater<>());
  if (scored.top_ids.size() != static_cast<size_t>(std::min(kTop, vocab))) return INFINITY;
  for (size_t i = 0; i < scored.top_ids.size(); ++i) {
    worst = std::max(worst, std::abs(scored.top_logprobs[i] - expected[scored.top_ids[i]]));
    worst = std::max(worst, std::abs(scored.top_logprobs[i] - best[i]));
  }
  return std::isnan(worst) ? INFINITY : worst;
}

// Of a prompt and its greedy continuation.
double difference(const test::Caller::Told& told, const std::vector<int32_t>& prompt, Expected& expected) {
  CHECK(told.finish == static_cast<int>(FinishCode::Length) && told.tokens.size() == kContinuation);
  CHECK(told.prompt_scored.size() == prompt.size() - 1 && told.scored.size() == kContinuation);
  std::vector<int32_t> text = prompt;
  text.insert(text.end(), told.tokens.begin(), told.tokens.end());
  const reference::Matrix& logprobs = expected.logprobs(text);
  double worst = 0;
  for (size_t i = 0; i + 1 < text.size(); ++i) {
    const bool generated = i + 1 >= prompt.size();
    const auto& scored = generated ? told.scored[i + 1 - prompt.size()] : told.prompt_scored[i];
    const double* row = &logprobs[i * expected.vocab()];
    CHECK(scored.token == text[i + 1]);
    worst = std::max(worst, difference(scored, row, expected.vocab()));
    // Greedy: nothing is likelier than the token.
    if (generated) worst = std::max(worst, *std::max_element(row, row + expected.vocab()) - row[text[i + 1]]);
  }
  return worst;
}

// All prompts at once.
double difference(const std::string& folder, const Run& run, const std::vector<std::vector<int32_t>>& prompts,
                  Expected& expected) {
  test::Caller caller(load_model(options_for(folder, run), nullptr));
  std::vector<uint32_t> ids;
  for (const auto& prompt : prompts) {
    auto s = std::make_unique<Sequence>();
    s->tokens = prompt;
    s->max_tokens = kContinuation;
    s->top = s->prompt_top = kTop;
    s->sampling.temperature = 0;
    ids.push_back(caller.engine.submit(std::move(s)));
  }
  double worst = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    caller.wait_for(ids[i]);
    worst = std::max(worst, difference(caller.told[ids[i]], prompts[i], expected));
  }
  return worst;
}

std::vector<std::vector<int32_t>> random_prompts(int vocab) {
  std::mt19937 random(static_cast<uint32_t>(vocab));
  std::vector<std::vector<int32_t>> prompts;
  for (size_t length : kLengths) {
    prompts.emplace_back(length);
    for (int32_t& token : prompts.back()) token = static_cast<int32_t>(random() % static_cast<uint32_t>(vocab));
  }
  return prompts;
}

}  // namespace

TEST(the_reference_agrees_with_transformers) {
  for (const std::string& name : test::kModels) {
    const std::string folder = test::fixture(name);
    Checkpoint checkpoint = Checkpoint::open(folder);
    const ModelConfig config = load_config(folder);
    const reference::Transformer model(config, checkpoint);
    const Json file = test::read_json(folder + "/reference.json");
    double worst = 0;
    for (const Json& c : file.at("cases").array()) {
      const std::vector<int32_t> prompt = test::ids_of(c.at("prompt"));
      const reference::Matrix logprobs = model.logprobs(prompt);
      size_t i = 0;
      for (const Json& value : c.at("prompt_logprobs").array()) {
        if (value.is_null()) continue;
        worst = std::max(worst, std::abs(logprobs[i * config.vocab_size + prompt[i + 1]] - value.number()));
        ++i;
      }
      CHECK(i + 1 == prompt.size());
    }
    std::printf("%s: %.1e\n", name.c_str(), worst);
    CHECK(worst < 1e-4);  // transformers takes norms, angles and softmax in float32
  }
}

TEST(every_shape_is_computed_right) {
  std::string wrong;
  for (const TinyModel& model : kTable) {
    const test::TempFolder folder;
    test::write(model, folder);
    Expected expected(config_of(model), Checkpoint::open(folder.path));
    const auto prompts = random_prompts(model.vocab);
    std::printf("%-26s", model.name);
    for (const Run& run : kRuns) {
      const double worst = difference(folder.path, run, prompts, expected);
      std::printf(" %.1e", worst);
      if (!(worst < kTolerance))
        wrong +=
            concat("\n  ", model.name, ", blocks of ", run.block_size, ", steps of ", run.chunk, ": off by ", worst);
    }
    std::printf("\n");
  }
  if (!wrong.empty()) test::failed(__FILE__, __LINE__, wrong);
}
