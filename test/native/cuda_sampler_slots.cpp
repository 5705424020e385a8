#define GATTLING_TEST_NO_MAIN  // part of cuda_sampler_test

// What the device's sampler keeps of a sequence between steps, and what a step reports of its rows.
#include <algorithm>
#include <cmath>
#include <limits>

#include "cuda_sampler_rig.h"
#include "ops_reference.h"
#include "test.h"

using namespace gattling;
using namespace sampler_rig;
using reference::Matrix;

TEST(penalties_bias_and_bans) {
  const std::vector<int32_t> tokens = {1, 2, 2, 3, /* generated */ 3, 5, 5, 5, 7};
  std::vector<Sampling> all = {
      {.presence_penalty = 1.5f},
      {.frequency_penalty = -0.7f},
      {.repetition_penalty = 1.8f},
      {.repetition_penalty = 0.6f},
      {.presence_penalty = 0.4f, .frequency_penalty = 0.3f, .repetition_penalty = 1.2f},
      {.bias = {{2, 2.5f}, {16, -100.0f}, {11, 1.0f}}},
      {.stop_ids = {0, 5, 12}, .min_tokens = 6},
      {.stop_ids = {0, 5, 12}, .min_tokens = 5},
      {.temperature = 0, .presence_penalty = 1, .bias = {{5, 3.0f}}, .stop_ids = {9}, .min_tokens = 100},
      {.top_k = 7, .top_p = 0.9f, .presence_penalty = 1, .bias = {{5, 3.0f}}, .stop_ids = {9}, .min_tokens = 100},
  };
  for (int n : {17, 4099}) {
    Rig rig(n);
    for (Sampling& sampling : all)
      for (uint64_t seed = 0; seed < 6; ++seed) {
        sampling.seed = seed;
        std::vector<float> logits = random_logits(seed, n, 2);
        for (size_t i = 0; i < 17; ++i) logits[i] *= 4;  // a larger vocabulary draws these too
        expect_same(rig, logits, sampling, 9, tokens, 4);
        const Matrix adjusted = reference::adjusted(Matrix(logits.begin(), logits.end()), sampling, tokens, 4, {});
        if (sampling.temperature == 0) {
          CHECK(rig.last_token(0) == std::max_element(adjusted.begin(), adjusted.end()) - adjusted.begin());
        } else {
          CHECK(reference::distribution(adjusted, sampling)[static_cast<size_t>(rig.last_token(0))] > 0);
        }
      }
  }
}

TEST(lists_may_be_as_long_as_the_vocabulary) {
  constexpr int n = 4099;
  Rig rig(n);
  Sampling sampling{.temperature = 0};
  for (int32_t token = 0; token < n; ++token) sampling.bias.push_back({token, static_cast<float>(token % 1000)});
  const std::vector<float> logits(n, 0.5f);
  expect_same(rig, logits, sampling, 1);
  CHECK(rig.last_token(0) == 999);
  Sampling stops{.temperature = 0, .min_tokens = 9};
  for (int32_t token = 0; token < n - 1; ++token) stops.stop_ids.push_back(token);
  expect_same(rig, logits, stops, 1);
  CHECK(rig.last_token(0) == n - 1);
  const Sampling plain{.temperature = 0};
  expect_same(rig, logits, plain, 1);
  CHECK(rig.last_token(0) == 0);
}

TEST(a_shorter_list_leaves_nothing_of_a_longer_one) {
  std::vector<float> logits(17, 0.0f);
  logits[7] = 2;
  logits[3] = 1;
  Rig stops(17), bias(17);
  expect_same(stops, logits, {.temperature = 0, .stop_ids = {4, 7}, .min_tokens = 9}, 1);
  CHECK(stops.last_token(0) == 3);
  expect_same(stops, logits, {.temperature = 0, .stop_ids = {4}, .min_tokens = 9}, 1);
  CHECK(stops.last_token(0) == 7);
  expect_same(bias, logits, {.temperature = 0, .bias = {{4, 0.5f}, {7, -9.0f}}}, 1);
  CHECK(bias.last_token(0) == 3);
  expect_same(bias, logits, {.temperature = 0, .bias = {{4, 0.5f}}}, 1);
  CHECK(bias.last_token(0) == 7);
}

TEST(without_stop_tokens_nothing_is_banned) {
  Rig rig(17);
  expect_same(rig, random_logits(1, 17, 4), {.temperature = 0, .min_tokens = 9}, 1);
}

TEST(presence_is_of_generated_tokens_only) {
  Rig rig(4);
  const Sampling sampling{.temperature = 0, .presence_penalty = 1};
  rig.init(0, sampling, {2, 2, 1}, 2);
  CHECK(rig.draw({0, 1.4f, 1.5f, 1}, 3).token == 2);
  rig.init(0, sampling, {1, 2, 2}, 1);
  CHECK(rig.draw({0, 1.4f, 1.5f, 1}, 3).token == 1);
}

TEST(setting_up_a_slot_leaves_the_next_alone) {
  Rig rig(64);  // counts of slots lie next to each other
  const Sampling sampling{.temperature = 0, .frequency_penalty = 1};
  const std::vector<int32_t> zeros = {5, 0, 0, 0};
  rig.init(1, sampling, zeros, 1);
  rig.init(0, sampling, zeros, 1);
  std::vector<float> logits(64, 0.0f);
  logits[0] = 2;
  logits[9] = 1;
  CHECK(rig.draw(logits, 4, 1).token == 9);
}

TEST(long_prompts_are_counted) {
  constexpr int n = 17, n_tokens = 40000;
  Rig rig(n);
  const Sampling sampling{.frequency_penalty = 1e-3f, .repetition_penalty = 1.1f};
  const std::vector<float> logits = random_logits(1, n, 4);
  std::vector<int32_t> tokens;
  uint64_t random = 1;
  for (int i = 0; i < n_tokens; ++i) tokens.push_back(static_cast<int32_t>(mix(random) % (n - 3)));
  for (int n_prompt : {n_tokens, n_tokens / 2, 0, n_tokens / 2})
    expect_same(rig, logits, sampling, n_tokens, tokens, n_prompt);
}

TEST(sampled_tokens_are_counted_at_once) {
  Rig rig(4);
  const Sampling sampling{.temperature = 0, .frequency_penalty = 1, .stop_ids = {3}, .min_tokens = 4};
  const std::vector<int32_t> prompt = {0, 0, 0};
  rig.init(0, sampling, prompt, 3);
  CHECK(rig.last_token(0) == 0);
  const std::vector<float> logits = {2.5f, 1.2f, 0.0f, 9.0f};
  std::vector<int32_t> drawn;
  for (int position = 3; position < 8; ++position) drawn.push_back(rig.draw(logits, position).token);
  CHECK(drawn == std::vector<int32_t>({0, 0, 1, 0, 3}));
  rig.init(0, sampling, prompt, 3);  // the counts start anew
  CHECK(rig.draw(logits, 3).token == 0);
}

TEST(masks_hold_for_one_step) {
  constexpr int n = 70;
  Rig rig(n);
  const Sampling greedy{.temperature = 0, .frequency_penalty = 0.5f};
  rig.init(0, greedy);
  rig.init(1, greedy);
  std::vector<float> logits(2 * n);
  for (int i = 0; i < 2 * n; ++i) logits[static_cast<size_t>(i)] = static_cast<float>(i % n);
  const auto step = [&](const std::vector<uint32_t>& bits) {
    rig.add(0, 0).constrained = true;
    rig.add(1, 0);
    rig.begin();
    if (!bits.empty()) rig.mask(0, bits);
    return rig.finish(logits).sampled;
  };
  auto entries = step({});  // before any mask was ever seen
  CHECK(entries[0].status == RowStatus::NotSampled && entries[1].token == 69 && rig.last_token(0) == 0);
  entries = step({0x80000001u, 2, 0});
  CHECK(entries[0].token == 33 && entries[0].status == RowStatus::Ok && entries[1].token == 69);
  entries = step({});
  CHECK(entries[0].status == RowStatus::NotSampled && entries[1].status == RowStatus::Ok && rig.last_token(0) == 33);
  CHECK(entries[1].token == 68);
  entries = step({0, 0, 0xffffffc0u});  // bits beyond the vocabulary only
  CHECK(entries[0].status == RowStatus::NoToken && entries[1].status == RowStatus::Ok && rig.last_token(0) == 33);
}

TEST(scores_are_raw_log_probabilities) {
  for (int n : {1, 17, 1000, 4099}) {
    Rig rig(n, 8, 2);
    const Sampling sampling{.temperature = 0.5f, .repetition_penalty = 2, .bias = {{0, 1000.0f}}};
    const std::vector<int32_t> tokens = {0};
    rig.init(3, sampling, tokens, 1);
    std::vector<float> logits = random_logits(1, 3 * n, 40);
    logits[static_cast<size_t>(n / 2)] = logits[static_cast<size_t>(n - 1)];
    Slice& slice = rig.add(3, 0, 3);
    slice.n_score = 2;
    slice.score_top = 3;
    slice.top = 20;
    rig.step().targets = {n - 1, 0};
    rig.begin();
    const StepResult result = rig.finish(logits);
    CHECK(result.scored.size() == 2 && result.sampled.size() == 1 && result.sampled[0].token == 0);
    CHECK(result.scored[0].token == n - 1 && result.scored[1].token == 0);
    const auto expect = [&](const StepResult::Entry& entry, int row, int n_top) {
      const Matrix logs = reference::log_softmax(Matrix(logits.begin() + row * n, logits.begin() + (row + 1) * n));
      const auto near = [](float have, double want) { return std::abs(have - want) < 1e-6 * (4 + std::abs(want)); };
      CHECK(entry.slice == 0 && entry.status == RowStatus::Ok && entry.n_top == std::min(n, n_top));
      CHECK(near(entry.logprob, logs[static_cast<size_t>(entry.token)]));
      std::vector<int32_t> order(static_cast<size_t>(n));
      for (int i = 0; i < n; ++i) order[static_cast<size_t>(i)] = i;
      std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
        return logs[static_cast<size_t>(a)] > logs[static_cast<size_t>(b)];
      });
      for (int i = 0; i < entry.n_top; ++i) {
        const size_t at = static_cast<size_t>(entry.first_top + i);
        CHECK(result.top_ids[at] == order[static_cast<size_t>(i)]);
        CHECK(near(result.top_logprobs[at], logs[static_cast<size_t>(order[static_cast<size_t>(i)])]));
      }
    };
    expect(result.scored[0], 0, 3);
    expect(result.scored[1], 1, 3);
    expect(result.sampled[0], 2, 20);
  }
}

TEST(of_two_setups_of_a_slot_the_later_counts) {
  Rig rig(17);
  const Sampling first{.temperature = 0, .bias = {{3, 50.0f}}}, later{.temperature = 0, .bias = {{5, 50.0f}}};
  const std::vector<int32_t> tokens = {7};
  rig.step().inits.push_back({2, &first, {}, 0});
  rig.init(2, later, tokens, 1);
  CHECK(rig.last_token(2) == 7);
  CHECK(rig.draw(random_logits(1, 17, 4), 1, 2).token == 5);
}

TEST(a_row_can_be_scored_and_sampled) {
  Rig rig(17);
  const Sampling greedy{.temperature = 0};
  rig.init(0, greedy);
  rig.add(0, 0, 3).sample = false;  // no output
  Slice& slice = rig.add(1, 0, 1);
  slice.n_score = 1;
  slice.score_top = 2;
  slice.top = 5;
  rig.add(0, 3, 2);
  rig.step().targets = {4};
  rig.begin();
  CHECK(rig.output_rows() == std::vector<int32_t>({3, 5}));
  const StepResult result = rig.finish(random_logits(2, 34, 3));
  CHECK(result.scored.size() == 1 && result.sampled.size() == 2);
  CHECK(result.scored[0].slice == 1 && result.scored[0].n_top == 2 && result.sampled[0].n_top == 5);
  CHECK(result.top_ids.size() == 5 && result.top_ids[0] == result.sampled[0].token);
  CHECK(result.sampled[1].slice == 2 && result.sampled[1].n_top == 0 && result.sampled[1].logprob == 0);
  rig.add(0, 0).top = kMaxTop + 1;
  THROWS("at most 20", rig.begin());
}

TEST(steps_run_one_ahead) {
  Rig rig(4);
  const Sampling greedy{.temperature = 0};
  rig.init(0, greedy);
  std::vector<Ticket> tickets;
  for (int32_t token = 0; token < 4; ++token) {
    std::vector<float> logits(4);
    logits[static_cast<size_t>(token)] = 1;
    rig.add(0, token);
    rig.begin();
    rig.sample(logits);
    tickets.push_back(rig.end());
  }
  for (int32_t token = 0; token < 4; ++token)
    CHECK(rig.read(tickets[static_cast<size_t>(token)]).sampled.at(0).token == token);
  rig.add(0, 0);
  rig.begin();
  CHECK(rig.read(rig.end()).sampled.empty());  // nothing was sampled
  rig.add(0, 0);
  rig.begin();
  THROWS("are not the next of the 1", rig.sampler().sample(nullptr, 64, 1, 1));
}
