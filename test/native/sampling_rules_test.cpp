// What goes with a draw, for each backend: scores, penalties, masks, rows that are not finite, the state of slots.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "sampler_rig.h"
#include "test.h"

using namespace gattling;
using namespace ops;
using reference::Matrix;

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
    const auto row = [&](int token) {
      const auto from = table.values.begin() + token * hidden;
      return backend.exact(std::vector<float>(from, from + hidden));
    };
    for (size_t i = 0; i < hidden; ++i) {
      CHECK(rows[i] == row(5)[i]);
      CHECK(rows[hidden + i] == row(7)[i]);
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
