// Draws of each backend against exact probabilities.
#include <algorithm>
#include <cmath>
#include <string>

#include "sampler_rig.h"
#include "test.h"

using namespace gattling;
using namespace ops;
using reference::Matrix;

namespace {

// Draws at many positions and tests the counts by chi-square; tokens of probability 0 must never come. A thousandth of
// right samplers would fail, but seeds are fixed.
void expect_distribution(const BackendCase& backend, const std::string& what, const std::vector<float>& logits,
                         const Sampling& sampling, const Matrix& want) {
  const int n_draws = backend.draws;
  const int n = static_cast<int>(logits.size());
  Sampler sampler(backend, n, 500);
  Sampling seeded = sampling;
  seeded.seed = 12345;
  for (int slot = 0; slot < 500; ++slot) sampler.step().inits.push_back({slot, &seeded, {}, 0});
  std::vector<float> rows;
  for (int i = 0; i < 500; ++i) rows.insert(rows.end(), logits.begin(), logits.end());
  std::vector<int> counts(logits.size());
  for (int done = 0; done < n_draws; done += 500) {
    for (int slot = 0; slot < 500; ++slot) sampler.add(slot, done + slot);
    sampler.begin();
    for (const auto& entry : sampler.finish(rows).sampled) ++counts[static_cast<size_t>(entry.token)];
  }
  double chi2 = 0, rare = 0, n_rare = 0;
  int degrees = -1;
  for (size_t i = 0; i < counts.size(); ++i) {
    const double expected = want[i] * n_draws;
    if (want[i] == 0 && counts[i] > 0)
      test::failed(__FILE__, __LINE__, backend.name + " " + what + ": token " + std::to_string(i) + " is filtered out");
    if (expected < 5) {
      rare += expected;
      n_rare += counts[i];
      continue;
    }
    chi2 += (counts[i] - expected) * (counts[i] - expected) / expected;
    ++degrees;
  }
  if (rare > 1) {
    chi2 += (n_rare - rare) * (n_rare - rare) / rare;
    ++degrees;
  }
  // Wilson and Hilferty's approximation of the 0.999 quantile.
  const double f = std::max(degrees, 1), t = 1 - 2 / (9 * f) + 3.09 * std::sqrt(2 / (9 * f));
  if (chi2 > f * t * t * t)
    test::failed(__FILE__, __LINE__,
                 backend.name + " " + what + ": chi-square " + std::to_string(chi2) + " of " + std::to_string(degrees));
}

}  // namespace

// Random123's known answers for philox4x32-10 (kat_vectors): the first word of the block.
TEST(philox_known_answers) {
  CHECK(philox(0, 0, 0) == 0x6627e8d5);
  CHECK(gumbel(0, 0, 0) == -std::log(-std::log((static_cast<float>(0x6627e8) + 0.5f) * 0x1p-24f)));
  CHECK(philox(7, 35, 3094) >> 8 == 0xffffff && std::isfinite(gumbel(7, 35, 3094)));
  CHECK(philox(1, 0, 0) != philox(0, 1, 0) && philox(0, 1, 0) != philox(0, 0, 1));
  CHECK(philox(uint64_t{1} << 32, 0, 0) != philox(1, 0, 0));
}

TEST(a_draw_is_the_gumbel_maximum) {
  each_backend([](const BackendCase& backend) {
    for (int n : {1, 17, 64, 512, 1000}) {
      Sampler sampler(backend, n);
      for (float temperature : {0.3f, 1.0f, 2.0f})
        for (uint64_t seed : {uint64_t{0}, uint64_t{7}, ~uint64_t{0}}) {
          Sampling sampling;
          sampling.temperature = temperature;
          sampling.seed = seed;
          sampler.init(0, sampling);
          for (int position : {1, 2, 500, 100000}) {
            const std::vector<float> logits = random_logits(seed + static_cast<uint64_t>(position), n, 3);
            int32_t best = 0;
            double best_score = -1e30, second = -1e30;
            for (int i = 0; i < n; ++i) {
              const double score = static_cast<double>(logits[static_cast<size_t>(i)]) / temperature +
                                   gumbel(seed, static_cast<uint32_t>(position), static_cast<uint32_t>(i));
              second = std::max(second, std::min(score, best_score));
              if (score > best_score) {
                best_score = score;
                best = i;
              }
            }
            const int32_t token = sampler.draw(logits, position).token;
            CHECK(token == best || best_score - second < 1e-5);
          }
        }
    }
  });
}

TEST(draws_follow_the_softmax) {
  each_backend([](const BackendCase& backend) {
    for (int n : {2, 17, 200})
      for (float temperature : {0.5f, 1.0f, 1.7f}) {
        Sampling sampling;
        sampling.temperature = temperature;
        const std::vector<float> logits = random_logits(static_cast<uint64_t>(n), n, 2);
        expect_distribution(backend, "softmax", logits, sampling, reference::distribution(doubles(logits), sampling));
      }
  });
}

TEST(draws_follow_the_filters) {
  each_backend([](const BackendCase& backend) {
    const std::vector<float> logits = random_logits(9, 200, 3);
    const auto expect = [&](const std::string& what, Sampling sampling) {
      for (float temperature : {0.7f, 1.3f}) {
        sampling.temperature = temperature;
        expect_distribution(backend, what, logits, sampling, reference::distribution(doubles(logits), sampling));
      }
    };
    for (int k : {1, 2, 5, 50, 199, 200, 5000}) expect("top_k " + std::to_string(k), {.top_k = k});
    for (float p : {0.0f, 0.01f, 0.3f, 0.9f, 0.999f}) expect("top_p " + std::to_string(p), {.top_p = p});
    for (float p : {0.001f, 0.1f, 0.5f, 1.0f}) expect("min_p " + std::to_string(p), {.min_p = p});
    expect("top_k and top_p", {.top_k = 20, .top_p = 0.6f});
    expect("all three", {.top_k = 40, .top_p = 0.9f, .min_p = 0.2f});
  });
}

TEST(filters_keep_the_lowest_ids_of_equals) {
  each_backend([](const BackendCase& backend) {
    std::vector<float> logits(300, 0.0f);
    for (size_t i = 150; i < 160; ++i) logits[i] = 1.0f;
    logits[200] = -0.0f;
    const auto expect = [&](const Sampling& sampling) {
      expect_distribution(backend, "equals", logits, sampling, reference::distribution(doubles(logits), sampling));
    };
    expect({.top_k = 4});
    expect({.top_k = 15});
    expect({.top_p = 0.055f});  // 6 of the ten
    expect({.top_p = 0.3f});
    expect({.top_k = 100, .min_p = 0.9f});
  });
}

TEST(greedy_takes_the_lowest_of_the_best) {
  each_backend([](const BackendCase& backend) {
    for (int n : {1, 17, 512, 1000}) {
      Sampler sampler(backend, n);
      const Sampling greedy{.temperature = 0};
      sampler.init(0, greedy);
      std::vector<float> logits = random_logits(4, n, 1);
      const auto best = std::max_element(logits.begin(), logits.end());
      CHECK(sampler.draw(logits, 1).token == best - logits.begin());
      std::fill(logits.begin(), logits.end(), -3.0f);
      CHECK(sampler.draw(logits, 1).token == 0);
      logits[static_cast<size_t>(n / 2)] = logits.back() = 7;
      CHECK(sampler.draw(logits, 1).token == n / 2);
    }
  });
}
