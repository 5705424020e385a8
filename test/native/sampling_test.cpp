// Scoring and sampling of each backend: values against the reference, draws against exact probabilities.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string>

#include "ops_cases.h"
#include "test.h"

using namespace gattling;
using namespace ops;
using reference::Matrix;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// One slot, and logits given straight to sample().
class Sampler {
 public:
  Sampler(const BackendCase& backend, int vocab_size, int max_rows = 64, int threads = 2)
      : case_(backend), backend_(backend.make(DType::F32, threads)), vocab_size_(vocab_size) {
    StateShape shape{};
    shape.n_slots = max_rows;
    shape.max_rows = max_rows;
    shape.max_blocks = 2;
    shape.n_blocks = 1;
    shape.block_size = 1 << 16;  // room for any position, of which none is computed
    shape.n_layers = shape.n_heads = shape.n_kv_heads = 1;
    shape.head_dim = 2;
    shape.vocab_size = vocab_size;
    shape.hidden_size = 2;
    shape.kv_dtype = DType::F32;
    shape.inv_freq = {1};
    logits_ = backend_->allocate(Role::Logits, max_rows, vocab_size);
    backend_->allocate_state(shape);
  }

  void init(int slot, const Sampling& sampling, const std::vector<int32_t>& tokens = {}, int n_prompt = 0) {
    step_.inits.push_back({slot, &sampling, tokens, n_prompt});
    begin();
    backend_->collect(backend_->end());
    step_.clear();
  }

  Slice& add(int slot, int start, int count = 1) {
    step_.slices.push_back({slot, start, count, true, false, -1, 0, 0, Rows::None});
    step_.tokens.resize(step_.tokens.size() + static_cast<size_t>(count), 0);
    return step_.slices.back();
  }
  void target(int32_t token) { step_.targets.push_back(token); }
  void begin() { backend_->begin(step_); }
  void mask(int slot, const std::vector<uint32_t>& bits) { backend_->set_mask(slot, bits); }

  // Rows of logits, one an output, after begin().
  const StepResult& finish(const std::vector<float>& logits) {
    case_.write(logits_, logits);
    backend_->sample({logits_, 0, static_cast<int>(logits.size()) / vocab_size_});
    step_.clear();
    return backend_->collect(backend_->end());
  }

  // Draws at a position from a slot that has been set up.
  StepResult::Entry draw(const std::vector<float>& logits, int position, int slot = 0) {
    add(slot, position - 1);
    begin();
    return finish(logits).sampled.at(0);
  }

  Backend& backend() { return *backend_; }
  Step& step() { return step_; }

 private:
  const BackendCase& case_;
  std::unique_ptr<Backend> backend_;
  int vocab_size_;
  Tensor logits_;
  Step step_;
};

template <typename Fn>
void each_backend(const Fn& fn) {
  for (const BackendCase& backend : backend_cases()) fn(backend);
}

std::vector<float> random_logits(uint64_t seed, int n, float scale) {
  Random random(seed);
  std::vector<float> logits = random.floats(static_cast<size_t>(n));
  for (float& logit : logits) logit *= scale;
  return logits;
}

// Draws at many positions and tests the counts by chi-square; tokens of probability 0 must never come. A thousandth of
// right samplers would fail, but seeds are fixed.
void expect_distribution(const BackendCase& backend, const std::string& what, const std::vector<float>& logits,
                         const Sampling& sampling, const Matrix& want) {
  constexpr int kDraws = 4000;
  const int n = static_cast<int>(logits.size());
  Sampler sampler(backend, n, 500);
  Sampling seeded = sampling;
  seeded.seed = 12345;
  for (int slot = 0; slot < 500; ++slot) sampler.step().inits.push_back({slot, &seeded, {}, 0});
  std::vector<float> rows;
  for (int i = 0; i < 500; ++i) rows.insert(rows.end(), logits.begin(), logits.end());
  std::vector<int> counts(logits.size());
  for (int done = 0; done < kDraws; done += 500) {
    for (int slot = 0; slot < 500; ++slot) sampler.add(slot, done + slot);
    sampler.begin();
    for (const auto& entry : sampler.finish(rows).sampled) ++counts[static_cast<size_t>(entry.token)];
  }
  double chi2 = 0, rare = 0, n_rare = 0;
  int degrees = -1;
  for (size_t i = 0; i < counts.size(); ++i) {
    const double expected = want[i] * kDraws;
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

TEST(scores_are_raw_log_probabilities) {
  each_backend([](const BackendCase& backend) {
    for (int n : {1, 17, 512, 1000, 5000}) {
      Sampler sampler(backend, n);
      const Sampling sampling{.temperature = 0.5f, .repetition_penalty = 2, .bias = {{0, 100.0f}}};
      const std::vector<int32_t> tokens = {0};
      sampler.init(3, sampling, tokens, 1);
      std::vector<float> logits = random_logits(1, 3 * n, 10);
      logits[static_cast<size_t>(n / 2)] = logits[static_cast<size_t>(n - 1)];  // equals among the best or not
      Slice& slice = sampler.add(3, 0, 3);
      slice.n_score = 2;
      slice.score_top = 3;
      slice.top = 20;
      sampler.target(n - 1);
      sampler.target(0);
      sampler.begin();
      const StepResult& result = sampler.finish(logits);
      CHECK(result.scored.size() == 2 && result.sampled.size() == 1);
      CHECK(result.sampled[0].token == 0);
      const auto expect = [&](const StepResult::Entry& entry, int row, int n_top) {
        const Matrix logs = reference::log_softmax(Matrix(logits.begin() + row * n, logits.begin() + (row + 1) * n));
        const auto near = [](float have, double want) { return std::abs(have - want) < 1e-5 * (1 + std::abs(want)); };
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
      CHECK(result.scored[0].token == n - 1 && result.scored[1].token == 0);
      expect(result.scored[0], 0, 3);
      expect(result.scored[1], 1, 3);
      expect(result.sampled[0], 2, 20);
    }
  });
}

TEST(a_row_can_be_scored_and_sampled) {
  each_backend([](const BackendCase& backend) {
    Sampler sampler(backend, 17);
    const Sampling greedy{.temperature = 0};
    sampler.init(0, greedy);
    Slice& slice = sampler.add(0, 0, 1);
    slice.n_score = 1;
    slice.score_top = 2;
    slice.top = 5;
    sampler.target(4);
    sampler.begin();
    const std::vector<float> logits = random_logits(2, 17, 3);
    const StepResult& result = sampler.finish(logits);
    CHECK(result.scored.size() == 1 && result.sampled.size() == 1);
    CHECK(result.scored[0].n_top == 2 && result.sampled[0].n_top == 5);
    CHECK(result.top_ids[static_cast<size_t>(result.scored[0].first_top)] == result.sampled[0].token);
  });
}

TEST(penalties_bias_and_bans) {
  each_backend([](const BackendCase& backend) {
    constexpr int n = 40;
    const std::vector<int32_t> tokens = {1, 2, 2, 3, /* generated */ 3, 5, 5, 5, 7};
    const std::vector<Sampling> all = {
        {.presence_penalty = 1.5f},
        {.frequency_penalty = -0.7f},
        {.repetition_penalty = 1.8f},
        {.repetition_penalty = 0.6f},
        {.presence_penalty = 0.4f, .frequency_penalty = 0.3f, .repetition_penalty = 1.2f},
        {.bias = {{2, 2.5f}, {39, -100.0f}, {11, 1.0f}}},
        {.stop_ids = {0, 5, 12}, .min_tokens = 6},
        {.stop_ids = {0, 5, 12}, .min_tokens = 5},
        {.top_k = 7, .presence_penalty = 1, .bias = {{5, 3.0f}}, .stop_ids = {9}, .min_tokens = 100},
    };
    const std::vector<float> logits = random_logits(3, n, 2);
    Sampler sampler(backend, n);
    for (Sampling sampling : all)
      for (uint64_t seed = 0; seed < 40; ++seed) {
        sampling.seed = seed;
        const int position = static_cast<int>(tokens.size());
        const Matrix adjusted = reference::adjusted(doubles(logits), sampling, tokens, 4, {});
        const Matrix p = reference::distribution(adjusted, sampling);
        int32_t best = -1;
        double best_score = -1e30;
        for (int i = 0; i < n; ++i) {
          const double score = std::log(p[static_cast<size_t>(i)]) +
                               gumbel(seed, static_cast<uint32_t>(position), static_cast<uint32_t>(i));
          if (score > best_score) {
            best_score = score;
            best = i;
          }
        }
        sampler.init(0, sampling, tokens, 4);
        CHECK(sampler.draw(logits, position).token == best);
      }
  });
}

TEST(sampled_tokens_are_counted_at_once) {
  each_backend([](const BackendCase& backend) {
    Sampler sampler(backend, 4);
    const Sampling sampling{.temperature = 0, .frequency_penalty = 1, .stop_ids = {3}, .min_tokens = 4};
    const std::vector<int32_t> prompt = {0, 0, 0};
    sampler.init(0, sampling, prompt, 3);
    // Each pick lowers its token by 1; 3 is banned for four tokens.
    const std::vector<float> logits = {2.5f, 1.2f, 0.0f, 9.0f};
    std::vector<int32_t> drawn;
    for (int position = 3; position < 8; ++position) drawn.push_back(sampler.draw(logits, position).token);
    CHECK(drawn == std::vector<int32_t>({0, 0, 1, 0, 3}));
  });
}

TEST(masks_hold_for_one_step) {
  each_backend([](const BackendCase& backend) {
    constexpr int n = 70;
    Sampler sampler(backend, n);
    const Sampling greedy{.temperature = 0, .frequency_penalty = 0.5f};
    sampler.init(0, greedy);
    sampler.init(1, greedy);
    std::vector<float> logits(2 * n);
    for (int i = 0; i < 2 * n; ++i) logits[static_cast<size_t>(i)] = static_cast<float>(i % n);
    const auto step = [&](const std::vector<uint32_t>& bits) {
      sampler.add(0, 0).constrained = true;
      sampler.add(1, 0);
      sampler.begin();
      if (!bits.empty()) sampler.mask(0, bits);
      return sampler.finish(logits).sampled;
    };
    auto entries = step({0x80000001u, 2, 0});
    CHECK(entries[0].token == 33 && entries[0].status == RowStatus::Ok && entries[1].token == 69);
    entries = step({});
    CHECK(entries[0].status == RowStatus::NotSampled && entries[1].status == RowStatus::Ok);
    CHECK(entries[1].token == 69);        // penalised once, still the best
    entries = step({0, 0, 0xffffffc0u});  // bits beyond the vocabulary only
    CHECK(entries[0].status == RowStatus::NoToken && entries[1].status == RowStatus::Ok);
    THROWS("mask of 2 words", sampler.begin(); sampler.mask(0, {1, 2}));
  });
}

TEST(masks_bound_random_draws) {
  each_backend([](const BackendCase& backend) {
    constexpr int n = 130;
    const std::vector<uint32_t> bits = {0, 0x00010010u, 0, 0xffffffffu, 2};
    Sampler sampler(backend, n);
    Sampling sampling{.temperature = 1.5f, .top_p = 0.9f};
    const std::vector<float> logits = random_logits(5, n, 3);
    const Matrix p = reference::distribution(reference::adjusted(doubles(logits), sampling, {}, 0, bits), sampling);
    std::set<int32_t> drawn;
    sampler.init(0, sampling);
    for (int position = 1; position < 2000; ++position) {
      sampler.add(0, position - 1).constrained = true;
      sampler.begin();
      sampler.mask(0, bits);
      drawn.insert(sampler.finish(logits).sampled[0].token);
    }
    for (int i = 0; i < n; ++i) CHECK((drawn.count(i) > 0) == (p[static_cast<size_t>(i)] > 0));
  });
}

TEST(rows_that_are_not_finite_fail_alone) {
  each_backend([](const BackendCase& backend) {
    for (int n : {1, 17, 100})
      for (float bad : {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN()})
        for (int at : {0, n / 2, n - 1}) {
          Sampler sampler(backend, n);
          const Sampling sampling{.temperature = 1, .frequency_penalty = 1};
          for (int slot : {0, 1, 2}) sampler.init(slot, sampling);
          std::vector<float> logits = random_logits(8, 3 * n, 2);
          const std::vector<float> clean(logits.begin(), logits.begin() + n);
          logits[static_cast<size_t>(n + at)] = bad;
          for (int slot : {0, 1, 2}) sampler.add(slot, 0).top = 1;
          sampler.step().slices[1].n_score = 1;
          sampler.target(0);
          sampler.begin();
          const StepResult& result = sampler.finish(logits);
          CHECK(result.sampled[0].status == RowStatus::Ok && result.sampled[2].status == RowStatus::Ok);
          CHECK(result.sampled[1].status == RowStatus::NotFinite && result.scored[0].status == RowStatus::NotFinite);
          CHECK(result.sampled[1].n_top == 0 && result.scored[0].n_top == 0);
          CHECK(result.sampled[0].token == sampler.draw(clean, 1, 1).token);  // slot 1 is as it was
        }
  });
}

TEST(extreme_logits_still_give_a_token) {
  each_backend([](const BackendCase& backend) {
    constexpr float most = std::numeric_limits<float>::max();
    Sampler sampler(backend, 3);
    const std::vector<int32_t> seen = {0, 1};
    Sampling sampling{.temperature = 1e-30f, .top_p = 0.5f, .repetition_penalty = 1e-3f, .bias = {{1, most}}};
    sampler.init(0, sampling, seen, 0);
    CHECK(sampler.draw({most, -most, 0}, 2).status == RowStatus::Ok);
    sampling = {.temperature = 1e30f, .top_k = 2};
    sampler.init(0, sampling, seen, 0);
    CHECK(sampler.draw({most, -most, most}, 2).token != 1);
  });
}

TEST(draws_do_not_depend_on_slot_row_or_threads) {
  each_backend([](const BackendCase& backend) {
    constexpr int n = 1000;
    const Sampling sampling{.temperature = 1.2f, .top_k = 600, .top_p = 0.95f, .seed = 77};
    const std::vector<float> logits = random_logits(6, n, 2);
    Sampler alone(backend, n, 64, 1);
    alone.init(0, sampling);
    for (int position : {1, 10, 11}) {
      const int32_t want = alone.draw(logits, position).token;
      Sampler crowd(backend, n, 64, 3);
      std::vector<float> rows;
      for (int slot = 0; slot < 7; ++slot) crowd.init(slot, sampling);
      for (int slot = 0; slot < 7; ++slot) {
        crowd.add(slot, position - 1);
        rows.insert(rows.end(), logits.begin(), logits.end());
      }
      crowd.begin();
      for (const StepResult::Entry& entry : crowd.finish(rows).sampled) CHECK(entry.token == want);
    }
    std::map<int32_t, int> tokens;
    for (int position = 1; position <= 50; ++position) ++tokens[alone.draw(logits, position).token];
    CHECK(tokens.size() > 25);
  });
}

TEST(a_pooled_token_is_the_slots_last) {
  each_backend([](const BackendCase& backend) {
    constexpr int vocab = 9, hidden = 4;
    Random random(1);
    const Stored table(random, DType::F32, {vocab, hidden});
    Sampler sampler(backend, vocab);
    Backend& b = sampler.backend();
    const auto packed = b.pack(Use::Embedding, std::vector{table.tensor}, {});
    const Tensor out = b.allocate(Role::Residual, 2, hidden);
    const Sampling greedy{.temperature = 0};
    sampler.init(0, greedy);
    sampler.init(1, greedy);
    std::vector<float> logits(2 * vocab);
    logits[7] = logits[vocab + 5] = 1;
    sampler.add(0, 0);
    sampler.add(1, 0);
    sampler.begin();
    sampler.finish(logits);
    sampler.add(1, 1);
    sampler.add(0, 1);
    sampler.step().tokens = {kFromPool, kFromPool};
    sampler.begin();
    b.embed({packed.get(), out, 2});
    b.collect(b.end());
    const std::vector<float> rows = backend.read(out, 2);
    for (size_t i = 0; i < hidden; ++i) {
      CHECK(rows[i] == static_cast<float>(table.values[5 * hidden + i]));
      CHECK(rows[hidden + i] == static_cast<float>(table.values[7 * hidden + i]));
    }
  });
}

TEST(a_result_outlives_the_next_two_steps) {
  each_backend([](const BackendCase& backend) {
    Sampler sampler(backend, 4);
    const Sampling greedy{.temperature = 0};
    sampler.init(0, greedy);
    std::vector<const StepResult*> results;
    for (int32_t token = 0; token < 3; ++token) {
      std::vector<float> logits(4);
      logits[static_cast<size_t>(token)] = 1;
      sampler.add(0, token);
      sampler.begin();
      results.push_back(&sampler.finish(logits));
      if (token > 0) CHECK(results[static_cast<size_t>(token - 1)]->sampled[0].token == token - 1);
    }
  });
}
