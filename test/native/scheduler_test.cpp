#include "core/scheduler.h"

#include <deque>
#include <random>
#include <utility>

#include "fake_device.h"
#include "test.h"

using namespace gattling;

namespace {

constexpr int kVocab = 50;
constexpr int32_t kStop = 7;

std::unique_ptr<Sequence> sequence(uint32_t id, std::vector<int32_t> prompt, int max_tokens) {
  auto s = std::make_unique<Sequence>();
  s->id = id;
  s->n_prompt = static_cast<int>(prompt.size());
  s->tokens = std::move(prompt);
  s->max_tokens = max_tokens;
  s->sampling.stop_ids = {kStop};
  return s;
}

std::vector<int32_t> prompt_of(int n, int32_t first = 10) {
  std::vector<int32_t> out(n);
  for (int i = 0; i < n; ++i) out[i] = (first + i) % kVocab;
  return out;
}

// A scheduler on a fake device; keeps up to `depth` steps in flight and gathers what each sequence was told.
struct Rig {
  struct Told {
    std::vector<int32_t> tokens, scored;
    int finish = -1;
    int n_finishes = 0;
  };

  Rig(SchedulerOptions o, int depth)
      : scheduler(o),
        device(o.max_num_seqs, o.n_blocks, o.block_size, kVocab),
        depth(depth),
        max_rows(o.max_num_batched_tokens) {}

  // False when nothing could be planned and nothing was in flight.
  bool step() {
    const bool late = !late_masks.empty();
    if (late && mask_arrives()) {
      for (const auto& [id, position] : std::exchange(late_masks, {})) scheduler.set_mask(id, position, {});
    }
    plans.emplace_back();
    const bool planned = scheduler.plan(plans.back());
    if (planned) {
      n_rows = plans.back().step.n_rows();
      CHECK(n_rows <= max_rows);
      results.push_back(device.run(plans.back().step, [&](int) { return mask_arrives(); }));
    } else {
      plans.pop_back();
    }
    const bool retires = !plans.empty() && (!planned || static_cast<int>(plans.size()) > depth);
    if (retires) retire();
    return planned || retires || late;
  }

  void retire() {
    Events events;
    size_t n_sampled = 0;
    for (size_t i = 0; i < plans.front().sequences.size(); ++i) {
      const Sequence& s = *plans.front().sequences[i];
      if (!plans.front().step.slices[i].sample) continue;
      if (results.front().sampled[n_sampled++].status == RowStatus::NotSampled)
        late_masks.emplace_back(s.id, static_cast<int>(s.tokens.size()));
    }
    scheduler.retire(plans.front(), results.front(), events);
    plans.pop_front();
    results.pop_front();
    take(events);
  }

  void take(const Events& events) {
    for (size_t i = 0; i < events.size(); ++i) {
      Told& t = told[events.ids[i]];
      const auto kind = static_cast<EventKind>(events.kinds[i]);
      CHECK(t.finish < 0);
      if (kind == EventKind::Token) t.tokens.push_back(events.a[i]);
      if (kind == EventKind::PromptToken) t.scored.push_back(events.a[i]);
      if (kind == EventKind::Finish) t.finish = events.a[i], ++t.n_finishes;
    }
  }

  void drain() {
    while (step()) scheduler.check();
    CHECK(scheduler.idle() && plans.empty());
    CHECK(scheduler.blocks().n_free() == scheduler.blocks().n_blocks());
  }

  Scheduler scheduler;
  test::FakeDevice device;
  int depth;
  int max_rows;
  int n_rows = 0;
  std::function<bool()> mask_arrives = [] { return true; };
  std::vector<std::pair<uint32_t, int>> late_masks;  // of rows that were not sampled
  std::deque<Plan> plans;
  std::deque<StepResult> results;
  std::map<uint32_t, Told> told;
};

}  // namespace

TEST(decodes_and_a_prefill_share_a_step) {
  Rig rig({4, 10, 64, 16, true}, 0);
  rig.scheduler.add(sequence(1, prompt_of(4), 50));
  rig.step();
  CHECK(rig.n_rows == 4);
  rig.scheduler.add(sequence(2, prompt_of(25, 3), 50));
  for (int expected : {10, 10, 8, 2}) {  // 1 + 9, 1 + 9, 1 + 7, 1 + 1
    rig.step();
    CHECK(rig.n_rows == expected);
  }
}

TEST(a_sequence_ends_at_its_length_or_at_a_stop_token) {
  for (int depth : {0, 1}) {
    Rig rig({4, 100, 64, 16, true}, depth);
    for (uint32_t id = 1; id <= 8; ++id) rig.scheduler.add(sequence(id, prompt_of(5, id), 30));
    rig.drain();
    int n_stopped = 0;
    for (uint32_t id = 1; id <= 8; ++id) {
      const auto expected = test::expected_tokens(prompt_of(5, id), 30, kVocab, kStop);
      CHECK(rig.told[id].tokens == expected);
      const bool stopped = expected.size() < 30;
      n_stopped += stopped;
      CHECK(rig.told[id].finish == static_cast<int>(stopped ? FinishCode::Stop : FinishCode::Length));
    }
    CHECK(n_stopped > 0 && n_stopped < 8);
  }
}

TEST(no_more_slots_than_max_num_seqs) {
  Rig rig({2, 100, 64, 16, true}, 0);
  for (uint32_t id = 1; id <= 5; ++id) rig.scheduler.add(sequence(id, prompt_of(5, id), 3));
  rig.step();
  CHECK(rig.scheduler.n_running() == 2 && rig.scheduler.n_waiting() == 3);
  rig.drain();
  for (uint32_t id = 1; id <= 5; ++id) CHECK(rig.told[id].n_finishes == 1);
}

TEST(a_small_budget_starves_nobody) {
  Rig rig({8, 3, 64, 16, true}, 0);
  for (uint32_t id = 1; id <= 8; ++id) {
    auto s = sequence(id, prompt_of(2, id), 10);
    s->sampling.stop_ids.clear();
    rig.scheduler.add(std::move(s));
  }
  for (int i = 0; i < 5; ++i) rig.step();
  CHECK(rig.scheduler.n_running() == 3);
  for (uint32_t id = 1; id <= 3; ++id) CHECK(rig.told[id].tokens.size() >= 3);
  rig.drain();
}

TEST(the_youngest_is_preempted_and_computed_again) {
  for (int depth : {0, 1}) {
    Rig rig({4, 100, 4, 16, true}, depth);  // 64 tokens for two sequences that want 16 + 40 each
    for (uint32_t id : {1, 2}) {
      auto s = sequence(id, prompt_of(16, 20 * id), 40);
      s->sampling.stop_ids.clear();
      rig.scheduler.add(std::move(s));
    }
    rig.drain();
    CHECK(rig.scheduler.stats().n_preemptions > 0);
    for (uint32_t id : {1, 2})
      CHECK(rig.told[id].tokens == test::expected_tokens(prompt_of(16, 20 * id), 40, kVocab, -1));
  }
}

TEST(blocks_on_their_way_back_are_waited_for) {
  Rig rig({4, 100, 6, 16, true}, 1);
  for (uint32_t id : {1, 2, 3}) {
    auto s = sequence(id, prompt_of(32, 13 * id), 20);
    s->sampling.stop_ids.clear();
    rig.scheduler.add(std::move(s));
  }
  rig.step();  // two blocks each: none is left
  Plan plan;
  CHECK(!rig.scheduler.plan(plan));  // the third one's blocks come back when the step in flight retires
  CHECK(rig.scheduler.stats().n_preemptions == 1 && rig.scheduler.n_running() == 2);
  rig.drain();
  for (uint32_t id : {1, 2, 3})
    CHECK(rig.told[id].tokens == test::expected_tokens(prompt_of(32, 13 * id), 20, kVocab, -1));
}

TEST(the_preempted_run_again_before_those_who_never_ran) {
  Rig rig({2, 100, 64, 16, true}, 0);
  for (uint32_t id : {1, 2, 3}) rig.scheduler.add(sequence(id, prompt_of(5, id), 20));
  rig.step();
  rig.scheduler.preempt_youngest();
  Plan plan;
  CHECK(rig.scheduler.plan(plan) && plan.sequences.size() == 2 && plan.sequences[1]->id == 2);
}

TEST(a_failed_step_of_a_cancelled_sequence_gives_its_blocks_back) {
  Rig rig({4, 100, 64, 16, true}, 0);
  rig.scheduler.add(sequence(1, prompt_of(5), 20));
  Plan plan;
  CHECK(rig.scheduler.plan(plan));
  Events events;
  rig.scheduler.cancel(1, events);
  rig.scheduler.retire_failed(plan, "out of memory", events);
  rig.scheduler.check();
  CHECK(events.size() == 1 && events.a[0] == static_cast<int>(FinishCode::Cancelled));
  CHECK(rig.scheduler.idle() && rig.scheduler.blocks().n_free() == 64);
}

TEST(what_a_failed_step_computed_is_not_in_the_prefix_cache) {
  Rig rig({4, 32, 64, 16, true}, 1);
  rig.scheduler.add(sequence(1, prompt_of(80), 5));
  rig.step();
  Plan second;
  CHECK(rig.scheduler.plan(second));
  rig.retire();
  Events events;
  rig.scheduler.retire_failed(second, "out of memory", events);
  rig.scheduler.check();
  rig.scheduler.add(sequence(2, prompt_of(80), 5));
  rig.drain();
  CHECK(rig.scheduler.stats().n_cached_tokens == 32);
}

TEST(a_second_equal_prompt_comes_from_the_cache) {
  Rig rig({4, 100, 64, 16, true}, 0);
  rig.scheduler.add(sequence(1, prompt_of(40), 2));
  rig.drain();
  rig.scheduler.add(sequence(2, prompt_of(40), 2));
  rig.step();
  CHECK(rig.n_rows == 8 && rig.scheduler.stats().n_cached_tokens == 32);
  rig.drain();
  CHECK(rig.told[2].tokens == rig.told[1].tokens);
}

TEST(prompt_scores_come_once_whatever_the_chunks) {
  for (int budget : {1, 3, 16, 100}) {
    Rig rig({4, budget, 64, 16, true}, 1);
    auto s = sequence(1, prompt_of(37), 2);
    s->prompt_top = 0;
    rig.scheduler.add(std::move(s));
    for (int i = 0; i < 3; ++i) rig.step();
    while (!rig.plans.empty()) rig.retire();
    rig.scheduler.preempt_youngest();
    rig.drain();
    CHECK(rig.told[1].scored == prompt_of(37));
    CHECK(rig.told[1].tokens.size() <= 2);
  }
}

TEST(scoring_alone_generates_nothing) {
  Rig rig({4, 16, 64, 16, true}, 0);
  auto s = sequence(1, prompt_of(20), 0);
  s->prompt_top = 5;
  rig.scheduler.add(std::move(s));
  rig.drain();
  CHECK(rig.told[1].scored == prompt_of(20) && rig.told[1].tokens.empty());
  CHECK(rig.told[1].finish == static_cast<int>(FinishCode::Length));
}

TEST(a_constrained_row_waits_for_its_mask_and_no_neighbour_does) {
  for (int depth : {0, 1}) {
    Rig rig({4, 100, 64, 16, true}, depth);
    int n_asked = 0;
    rig.mask_arrives = [&] { return ++n_asked % 3 == 0; };
    auto s = sequence(1, prompt_of(5), 20);
    s->constrained = true;
    s->sampling.stop_ids.clear();
    rig.scheduler.add(std::move(s));
    auto free = sequence(2, prompt_of(5, 30), 20);
    free->sampling.stop_ids.clear();
    rig.scheduler.add(std::move(free));
    for (int i = 0; i < 20 + depth; ++i) rig.step();
    CHECK(rig.told[2].n_finishes == 1);
    rig.drain();
    CHECK(rig.told[1].tokens == test::expected_tokens(prompt_of(5), 20, kVocab, -1));
  }
}

TEST(a_row_that_found_no_mask_is_planned_when_it_has_come) {
  Rig rig({4, 100, 64, 16, true}, 0);
  rig.mask_arrives = [] { return false; };
  auto s = sequence(1, prompt_of(5), 20);
  s->constrained = true;
  rig.scheduler.add(std::move(s));
  rig.step();
  Plan plan;
  CHECK(!rig.scheduler.plan(plan));
  rig.scheduler.set_mask(1, 4, {});
  CHECK(!rig.scheduler.plan(plan));
  rig.scheduler.set_mask(1, 5, {});
  CHECK(rig.scheduler.plan(plan) && plan.step.n_rows() == 1 && plan.step.slices[0].start == 4);
}

TEST(what_is_not_finite_leaves_nothing_in_the_prefix_cache) {
  for (bool scored : {false, true}) {
    Rig rig({4, 32, 64, 16, true}, 0);
    auto s = sequence(1, prompt_of(40), 5);
    s->prompt_top = scored ? 0 : -1;
    rig.scheduler.add(std::move(s));
    rig.step();  // 32 tokens, which are registered
    Plan plan;
    rig.scheduler.plan(plan);
    StepResult result = rig.device.run(plan.step, [](int) { return true; });
    (scored ? result.scored : result.sampled).back().status = RowStatus::NotFinite;
    Events events;
    rig.scheduler.retire(plan, result, events);
    CHECK(events.size() >= 1 && events.errors.size() == 1 && rig.scheduler.idle());
    rig.scheduler.check();
    rig.scheduler.add(sequence(2, prompt_of(40), 5));
    rig.drain();
    CHECK(rig.scheduler.stats().n_cached_tokens == 0);
  }
}

TEST(a_failed_step_ends_its_own_sequences) {
  Rig rig({4, 100, 64, 16, true}, 0);
  rig.scheduler.add(sequence(1, prompt_of(5), 20));
  Plan plan;
  CHECK(rig.scheduler.plan(plan));
  Events events;
  rig.scheduler.retire_failed(plan, "out of memory", events);
  rig.scheduler.check();
  CHECK(events.size() == 1 && events.errors[0] == "out of memory" && rig.scheduler.idle());
}

TEST(what_can_never_fit_is_refused) {
  Rig rig({4, 100, 2, 16, true}, 0);
  THROWS("KV cache holds 32", rig.scheduler.add(sequence(1, prompt_of(20), 14)));
  rig.scheduler.add(sequence(2, prompt_of(20), 13));
  rig.drain();
}

// 100,000 random operations, on prompts that share prefixes, in a cache that is too small.
TEST(random_walk) {
  for (int depth : {0, 1}) {
    std::mt19937 random(depth);
    const auto pick = [&](int n) { return static_cast<int>(random() % n); };
    Rig rig({6, 40, 24, 16, true}, depth);
    rig.mask_arrives = [&] { return pick(3) > 0; };
    struct Submitted {
      std::vector<int32_t> prompt;
      int max_tokens;
      bool cancelled;
      bool scored;
    };
    std::map<uint32_t, Submitted> submitted;
    uint32_t last_id = 0;
    for (int operation = 0; operation < 50'000; ++operation) {
      const int what = pick(100);
      if (what < 12 && rig.scheduler.n_waiting() < 10) {
        std::vector<int32_t> prompt = prompt_of(1 + pick(90), pick(3));  // three families of prefixes
        const int n_own = pick(4);
        for (int i = 0; i < n_own; ++i) prompt.push_back(pick(kVocab));
        const bool scored = pick(8) == 0;
        const int max_tokens = scored && pick(2) ? 0 : 1 + pick(60);
        auto s = sequence(++last_id, prompt, max_tokens);
        s->constrained = pick(5) == 0;
        s->prompt_top = scored ? 0 : -1;
        s->table.salt = Salt{static_cast<uint8_t>(pick(2))};
        rig.scheduler.add(std::move(s));
        submitted[last_id] = {prompt, max_tokens, false, scored};
      } else if (what < 15 && last_id) {
        const uint32_t id = 1 + pick(last_id);
        Events events;
        rig.scheduler.cancel(id, events);
        rig.take(events);
        if (events.size()) submitted[id].cancelled = true;
      } else if (what < 18) {
        rig.scheduler.preempt_youngest();
      } else {
        rig.step();
      }
      rig.scheduler.check();
    }
    rig.drain();
    CHECK(rig.scheduler.stats().n_preemptions > 1000 && rig.scheduler.stats().n_cached_tokens > 10'000);
    for (const auto& [id, s] : submitted) {
      const Rig::Told& told = rig.told[id];
      const auto expected = test::expected_tokens(s.prompt, s.max_tokens, kVocab, kStop);
      CHECK(told.n_finishes == 1);
      CHECK(told.tokens.size() <= expected.size());
      CHECK(std::equal(told.tokens.begin(), told.tokens.end(), expected.begin()));
      if (!s.cancelled) CHECK(told.tokens.size() == expected.size());
      if (s.scored && !s.cancelled) CHECK(told.scored == s.prompt);
    }
  }
}
