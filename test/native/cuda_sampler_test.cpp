// The device's sampler against the CPU's on the same logits, and against the reference.
#include <algorithm>
#include <cmath>
#include <limits>

#include "cuda_sampler_rig.h"
#include "ops_reference.h"
#include "test.h"

using namespace gattling;
using namespace sampler_rig;
using reference::Matrix;

TEST(greedy_takes_the_lowest_of_the_best) {
  for (int n : {1, 17, 1000, 4099}) {
    Rig rig(n);
    const Sampling greedy{.temperature = 0};
    rig.init(0, greedy);
    std::vector<float> logits = random_logits(4, n, 5);
    CHECK(rig.draw(logits, 1).token == std::max_element(logits.begin(), logits.end()) - logits.begin());
    std::fill(logits.begin(), logits.end(), -3.0f);
    CHECK(rig.draw(logits, 1).token == 0);
    logits[static_cast<size_t>(n / 2)] = logits.back() = 7;
    CHECK(rig.draw(logits, 1).token == n / 2);
    std::fill(logits.begin(), logits.end(), -0.0f);
    logits.back() = 0.0f;
    CHECK(rig.draw(logits, 1).token == 0);
  }
}

TEST(random_draws_are_those_of_the_cpu) {
  for (int n : {1, 17, 1000, 4099, 8192})
    for (float temperature : {0.3f, 1.0f, 2.0f}) {
      Rig rig(n);
      const Sampling sampling{.temperature = temperature, .seed = 0x123456789abcdef0};
      for (int position : {1, 2, 3, 500, 100000})
        expect_same(rig, random_logits(static_cast<uint64_t>(n + position), n, 6), sampling, position);
    }
}

TEST(filtered_draws_are_those_of_the_cpu) {
  std::vector<Sampling> all;
  for (int k : {1, 2, 50, 700, 4098, 100000}) all.push_back({.top_k = k});
  for (float p : {0.0f, 0.01f, 0.5f, 0.9f, 0.999f, 0.9999999f}) all.push_back({.top_p = p});
  for (float p : {0.001f, 0.1f, 1.0f}) all.push_back({.min_p = p});
  all.push_back({.top_k = 40, .top_p = 0.6f});
  all.push_back({.temperature = 1.7f, .top_k = 900, .top_p = 0.99f, .min_p = 0.01f});
  all.push_back({.temperature = 0.2f, .top_p = 0.95f});
  for (int n : {1, 17, 1000, 4099}) {
    Rig rig(n);
    for (size_t i = 0; i < all.size(); ++i) {
      all[i].seed = i;
      for (int position : {1, 2, 3, 4})
        expect_same(rig, random_logits(i * 31 + static_cast<uint64_t>(position), n, position % 2 == 0 ? 3 : 12), all[i],
                    position);
    }
  }
}

// Many draws show both ends of what the filters keep.
TEST(filters_cut_among_equals_by_id) {
  constexpr int n = 1500;
  std::vector<float> logits(n, 0.0f);
  for (size_t i = 700; i < 720; ++i) logits[i] = 9.0f;
  logits[710] = 9.5f;
  logits[200] = -0.0f;
  const std::vector<Sampling> all = {{.top_k = 8},      {.top_k = 19},
                                     {.top_p = 0.3f},   {.top_k = 1000},
                                     {.top_p = 0.999f}, {.temperature = 50, .top_k = 777, .top_p = 0.5f}};
  Rig rig(n, 8, 50);
  for (const Sampling& sampling : all) {
    rig.init(0, sampling);
    std::vector<float> rows;
    for (int i = 0; i < 50; ++i) rows.insert(rows.end(), logits.begin(), logits.end());
    for (int i = 0; i < 50; ++i) rig.add(0, i);
    rig.begin();
    const StepResult result = rig.finish(rows);
    for (int i = 0; i < 50; ++i)
      CHECK(result.sampled[static_cast<size_t>(i)].token == drawn_by_cpu(logits, sampling, i + 1).token);
  }
}

// Equal logits throughout leave nothing but ids to select by, down to the last bits of their keys.
TEST(a_uniform_row_is_cut_by_id) {
  constexpr int n = 4099;
  const std::vector<float> logits(n, 1.25f);
  for (const auto& [sampling, n_kept] : {std::pair<Sampling, int>{{.top_k = 2500}, 2500}, {{.top_p = 0.5f}, 2050}}) {
    Rig rig(n, 8, 8);
    Sampling seeded = sampling;
    int32_t last = 0;
    for (uint64_t seed = 0; seed < 4; ++seed) {
      seeded.seed = seed;
      expect_same(rig, logits, seeded, 1);
      last = std::max(last, rig.last_token(0));
    }
    CHECK(last < n_kept);
  }
}

TEST(masked_draws_are_those_of_the_cpu) {
  for (int n : {17, 1000, 4099}) {
    Rig rig(n);
    const std::vector<Sampling> all = {{.temperature = 0},
                                       {.temperature = 1.5f},
                                       {.top_k = 30, .top_p = 0.9f},
                                       {.top_k = n - 1},
                                       {.top_p = 0.7f, .bias = {{3, 9.0f}}, .stop_ids = {4}, .min_tokens = 10}};
    for (const Sampling& sampling : all)
      for (uint64_t seed = 0; seed < 3; ++seed)
        expect_same(rig, random_logits(seed, n, 6), sampling, 1, {}, 0, random_mask(seed, n));
  }
}

TEST(rows_that_are_not_finite_fail_alone) {
  for (int n : {1, 17, 4099})
    for (float bad : {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN()})
      for (int at : {0, n / 2, n - 1}) {
        Rig rig(n);
        const Sampling sampling{.top_k = 3, .top_p = 0.8f, .frequency_penalty = 1};
        const std::vector<int32_t> tokens = {0};
        for (int slot : {0, 1, 2}) rig.init(slot, sampling, tokens, 1);
        std::vector<float> logits = random_logits(8, 3 * n, 2);
        const std::vector<float> clean(logits.begin(), logits.begin() + n);
        logits[static_cast<size_t>(n + at)] = bad;
        for (int slot : {0, 1, 2}) rig.add(slot, 0).top = 1;
        rig.step().slices[1].n_score = 1;
        rig.step().targets = {0};
        rig.begin();
        const StepResult result = rig.finish(logits);
        CHECK(result.sampled[0].status == RowStatus::Ok && result.sampled[2].status == RowStatus::Ok);
        CHECK(result.sampled[1].status == RowStatus::NotFinite && result.scored[0].status == RowStatus::NotFinite);
        CHECK(result.sampled[1].n_top == 0 && result.scored[0].n_top == 0 && result.top_ids.size() == 2);
        CHECK(rig.last_token(1) == 0);
        CHECK(result.sampled[0].token == rig.draw(clean, 1, 1).token);  // slot 1 is as it was
      }
}

TEST(extreme_logits_still_give_a_token) {
  constexpr float most = std::numeric_limits<float>::max();
  Rig rig(3);
  const std::vector<int32_t> seen = {0, 1};
  const Sampling cold{.temperature = 1e-30f, .top_p = 0.5f, .repetition_penalty = 1e-3f, .bias = {{1, most}}};
  expect_same(rig, {most, -most, 0}, cold, 2, seen);
  const Sampling hot{.temperature = 1e30f, .top_k = 2};
  expect_same(rig, {most, -most, most}, hot, 2, seen);
}

// The greatest words of 24 bits would round to a uniform of 1, and their variates to infinity.
TEST(the_greatest_random_word_is_no_certainty) {
  constexpr int32_t token = 3094;
  CHECK(philox(7, 35, token) >> 8 == 0xffffff);
  Rig rig(4099);
  const Sampling sampling{.seed = 7};
  rig.init(0, sampling);
  std::vector<float> logits(4099, 0.0f);
  logits[1] = 60;
  CHECK(rig.draw(logits, 35).token == 1);
  logits[1] = 0;
  CHECK(rig.draw(logits, 35).token == token);
}

TEST(draws_do_not_depend_on_slot_row_or_stride) {
  constexpr int n = 1000;
  const Sampling sampling{.temperature = 1.2f, .top_k = 600, .top_p = 0.95f, .seed = 77};
  const std::vector<float> logits = random_logits(6, n, 4);
  Rig alone(n);
  alone.init(0, sampling);
  alone.add(0, 9).top = 20;
  alone.begin();
  const StepResult want = alone.finish(logits);
  for (int padding : {0, 1, 2, 4}) {
    Rig crowd(n, 8, 3, padding);
    std::vector<float> rows;
    for (int slot = 0; slot < 7; ++slot) crowd.init(slot, sampling);
    for (int slot = 0; slot < 7; ++slot) {
      crowd.add(slot, 9).top = 20;
      rows.insert(rows.end(), logits.begin(), logits.end());
    }
    crowd.begin();
    const StepResult have = crowd.finish(rows);
    for (size_t i = 0; i < 7; ++i) {
      const StepResult::Entry& entry = have.sampled[i];
      CHECK(entry.token == want.sampled[0].token && entry.logprob == want.sampled[0].logprob);
      const auto first = have.top_logprobs.begin() + entry.first_top;
      CHECK(std::equal(want.top_logprobs.begin(), want.top_logprobs.end(), first));
    }
  }
}

TEST(draws_follow_the_softmax) {
  constexpr int n = 5, n_rows = 60;
  Rig rig(n, 8, n_rows);
  const Sampling sampling{.temperature = 0.7f, .seed = 3};
  rig.init(0, sampling);
  const std::vector<float> logits = {0.2f, -1.0f, 1.1f, 0.5f, -0.3f};
  std::vector<float> rows;
  for (int i = 0; i < n_rows; ++i) rows.insert(rows.end(), logits.begin(), logits.end());
  std::vector<int> counts(n);
  for (int done = 0; done < 1200; done += n_rows) {
    for (int i = 0; i < n_rows; ++i) rig.add(0, done + i);
    rig.begin();
    for (const auto& entry : rig.finish(rows).sampled) ++counts[static_cast<size_t>(entry.token)];
  }
  const Matrix p = reference::distribution(Matrix(logits.begin(), logits.end()), sampling);
  double chi2 = 0;
  for (size_t i = 0; i < n; ++i) chi2 += (counts[i] - 1200 * p[i]) * (counts[i] - 1200 * p[i]) / (1200 * p[i]);
  CHECK(chi2 < 18.5);  // the 0.999 quantile of 4 degrees
}
