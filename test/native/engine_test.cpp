#include "core/engine.h"

#include <algorithm>
#include <semaphore>

#include "caller.h"
#include "model/fake.h"
#include "test.h"

using namespace gattling;

namespace {

struct Caller : test::Caller {
  explicit Caller(const FakeOptions& options) : test::Caller(make_fake_model(options)) {}
  explicit Caller(std::unique_ptr<Model> model) : test::Caller(std::move(model)) {}

  EngineStats stats() {
    replies.clear();
    engine.stats(1);
    wait([&] { return !replies.empty(); });
    return replies[0].stats;
  }
};

enum class At { Forward, Sample, Collect };

// The fake model, whose n-th call (from 0) of one of its verbs throws; counts steps sampled and not collected.
class Failing final : public Model {
 public:
  Failing(const FakeOptions& options, At at, int n, int* n_open = nullptr)
      : model_(make_fake_model(options)), at_(at), left_(n), n_open_(n_open) {}

  const ModelInfo& info() const override { return model_->info(); }
  void forward(const Step& step) override {
    pass(At::Forward);
    model_->forward(step);
  }
  void set_mask(int slot, std::span<const uint32_t> bits) override { model_->set_mask(slot, bits); }
  Ticket sample() override {
    pass(At::Sample);
    if (n_open_) ++*n_open_;
    return model_->sample();
  }
  const StepResult& collect(Ticket ticket) override {
    pass(At::Collect);
    if (n_open_) --*n_open_;
    return model_->collect(ticket);
  }

 private:
  void pass(At at) {
    if (at == at_ && left_-- == 0) throw std::runtime_error("told to fail");
  }

  std::unique_ptr<Model> model_;
  At at_;
  int left_;
  int* n_open_;
};

FakeOptions options(int depth = 0) {
  FakeOptions o;
  o.vocab_size = 1000;
  o.max_model_len = 512;
  o.max_num_seqs = 32;
  o.depth = depth;
  return o;
}

std::vector<int32_t> expected(const std::vector<int32_t>& prompt, int n) {
  std::vector<int32_t> all = prompt;
  while (n-- > 0) all.push_back(fake_next(all.back(), static_cast<int>(all.size()) - 1, 1000));
  return {all.begin() + static_cast<long>(prompt.size()), all.end()};
}

}  // namespace

TEST(tokens_are_the_models_at_both_depths) {
  for (int depth : {0, 1}) {
    Caller caller(options(depth));
    std::vector<uint32_t> ids;
    for (int i = 0; i < 40; ++i) ids.push_back(caller.submit({i, i + 1}, 20 + i));
    for (uint32_t id : ids) caller.wait_for(id);
    for (int i = 0; i < 40; ++i) {
      CHECK(caller.told[ids[i]].tokens == expected({i, i + 1}, 20 + i));
      CHECK(caller.told[ids[i]].finish == static_cast<int>(FinishCode::Length));
    }
  }
}

TEST(sixteen_requests_share_their_steps) {
  FakeOptions o = options();
  o.step_microseconds = 5000;
  Caller caller(o);
  std::vector<uint32_t> ids;
  for (int i = 0; i < 16; ++i) ids.push_back(caller.submit({i}, 256));
  for (uint32_t id : ids) caller.wait_for(id);
  caller.engine.stats(1);
  caller.wait([&] { return !caller.replies.empty(); });
  CHECK(caller.replies[0].stats.n_steps <= 300);
  CHECK(caller.replies[0].stats.n_generated_tokens == 16 * 256);
}

TEST(cancel_frees_blocks) {
  for (int depth : {0, 1}) {
    FakeOptions o = options(depth);
    o.step_microseconds = 200;
    Caller caller(o);
    const uint32_t long_one = caller.submit({1, 2, 3}, 500);
    caller.wait([&] { return caller.told[long_one].tokens.size() > 3; });
    caller.engine.cancel(long_one);
    caller.engine.cancel(long_one);
    caller.engine.cancel(12345);
    caller.wait_for(long_one);
    CHECK(caller.told[long_one].finish == static_cast<int>(FinishCode::Cancelled));
    const uint32_t after = caller.submit({5}, 3);
    caller.wait_for(after);
    caller.engine.stats(1);
    caller.wait([&] { return !caller.replies.empty(); });
    CHECK(caller.replies[0].stats.n_free_blocks == caller.replies[0].stats.n_blocks);
  }
}

TEST(a_bad_row_ends_its_own_request_only) {
  FakeOptions o = options();
  o.not_finite_token = 77;
  Caller caller(o);
  const uint32_t good = caller.submit({1}, 50), bad = caller.submit({77}, 50);
  caller.wait_for(good);
  caller.wait_for(bad);
  CHECK(caller.told[bad].error.find("not finite") != std::string::npos && caller.told[bad].tokens.empty());
  CHECK(caller.told[good].tokens == expected({1}, 50));
}

TEST(the_engine_outlives_a_failed_step) {
  for (int depth : {0, 1}) {
    FakeOptions o = options(depth);
    o.fail_token = 999;
    Caller caller(o);
    const uint32_t bad = caller.submit({999}, 50);
    caller.wait_for(bad);
    CHECK(caller.told[bad].error.find("told to fail") != std::string::npos);
    const uint32_t good = caller.submit({1}, 5);
    caller.wait_for(good);
    CHECK(caller.told[good].tokens == expected({1}, 5));
  }
}

TEST(a_failure_anywhere_gives_back_blocks_and_slots_and_starts_what_waits) {
  for (int depth : {0, 1})
    for (At at : {At::Forward, At::Sample, At::Collect})
      for (int n : {0, 1, 5}) {
        FakeOptions o = options(depth);
        o.max_num_seqs = 2;
        Caller caller(std::make_unique<Failing>(o, at, n));
        std::vector<uint32_t> ids;
        for (int i = 0; i < 5; ++i) ids.push_back(caller.submit({i, i + 1}, 20));
        int n_failed = 0;
        for (int i = 0; i < 5; ++i) {
          caller.wait_for(ids[i]);
          const auto& told = caller.told[ids[i]];
          n_failed += told.finish == static_cast<int>(FinishCode::Error);
          if (told.error.empty()) CHECK(told.tokens == expected({i, i + 1}, 20));
        }
        CHECK(n_failed >= 1 && n_failed <= 2);
        const EngineStats stats = caller.stats();
        CHECK(stats.n_free_blocks == stats.n_blocks && stats.n_running == 0 && stats.n_waiting == 0);
      }
}

TEST(a_waiting_sequence_starts_when_the_last_one_ends) {
  for (int depth : {0, 1}) {
    FakeOptions o = options(depth);
    o.max_num_seqs = 1;
    Caller caller(o);
    const uint32_t first = caller.submit({1}, 10), second = caller.submit({2}, 10);
    caller.wait_for(first);
    caller.wait_for(second);
    CHECK(caller.told[second].tokens == expected({2}, 10));
  }
}

TEST(an_engine_that_only_waits_for_masks_rests) {
  for (int depth : {0, 1}) {
    Caller caller(options(depth));
    const uint32_t waits = caller.submit({1, 2}, 3, true), free = caller.submit({3}, 20);
    caller.wait_for(free);
    for (int i = 0; i < 100; ++i) caller.stats();
    CHECK(caller.stats().n_steps <= 25);
    CHECK(caller.told[waits].finish < 0);
    caller.engine.mask(waits, 2, std::vector<uint32_t>((1000 + 31) / 32));  // forbids all
    caller.wait_for(waits);
    CHECK(caller.told[waits].error.find("forbids every token") != std::string::npos);
  }
}

TEST(what_breaks_the_loop_ends_every_sequence_and_is_said_from_then_on) {
  int n_wakes = 0;
  std::binary_semaphore woken(0), throws(0);
  Engine engine(make_fake_model(options()), true, [&] {
    if (n_wakes++ > 0) return;
    woken.release();
    throws.acquire();
    throw 42;
  });
  const auto one = [] {
    auto s = std::make_unique<Sequence>();
    s->tokens = {1};
    s->max_tokens = 100;
    return s;
  };
  const uint32_t runs = engine.submit(one());
  woken.acquire();
  const uint32_t arrives = engine.submit(one());
  throws.release();
  Mail mail;
  for (bool over = false; !over;) {
    std::this_thread::yield();
    Mail more = engine.drain();
    mail.events.append(more.events);
    over = !(mail.failure = more.failure).empty();
  }
  CHECK(mail.failure.find("the engine has stopped: ") == 0);
  CHECK(mail.events.errors == std::vector<std::string>(2, mail.failure));
  const auto ended = [&](uint32_t id) { return std::ranges::count(mail.events.ids, id) > 0; };
  CHECK(ended(runs) && ended(arrives));
  THROWS("has stopped", engine.submit(one()));
  THROWS("has stopped", engine.stats(1));
  engine.cancel(runs);
  engine.close();
  CHECK(engine.drain().empty() && n_wakes == 2);
}

TEST(a_mask_decides_and_may_come_late) {
  for (int depth : {0, 1}) {
    FakeOptions o = options(depth);
    o.step_microseconds = 100;
    Caller caller(o);
    const uint32_t id = caller.submit({1, 2}, 3, true);
    const uint32_t neighbour = caller.submit({3}, 20);
    caller.wait_for(neighbour);  // which needs no mask
    CHECK(caller.told[id].tokens.empty());
    for (int position = 2; position < 5; ++position) {
      std::vector<uint32_t> bits((1000 + 31) / 32);
      const int only = 100 + position;
      bits[only / 32] = 1u << (only % 32);
      caller.engine.mask(id, position, bits);
      caller.wait([&] { return static_cast<int>(caller.told[id].tokens.size()) == position - 1; });
      CHECK(caller.told[id].tokens.back() == only);
    }
    THROWS("words", caller.engine.mask(id, 5, {1}));
  }
}

TEST(what_could_touch_memory_is_refused) {
  Caller caller(options());
  THROWS("at least one token", caller.submit({}, 5));
  THROWS("outside the vocabulary", caller.submit({1000}, 5));
  THROWS("outside the vocabulary", caller.submit({-1}, 5));
  THROWS("512 together", caller.submit({1}, 512));
  THROWS("at least 1", caller.submit({1}, 0));
  THROWS("together", caller.submit({1}, 2147483647));
  auto s = std::make_unique<Sequence>();
  s->tokens = {1};
  s->max_tokens = 1;
  s->sampling.bias = {{1000, 1.0f}};
  THROWS("bias", caller.engine.submit(std::move(s)));
}

TEST(close_ends_what_runs) {
  for (int depth : {0, 1}) {
    FakeOptions o = options(depth);
    o.step_microseconds = 500;
    Caller caller(o);
    const uint32_t id = caller.submit({1}, 500);
    caller.engine.close();
    caller.engine.close();
    caller.take();
    CHECK(caller.told[id].finish == static_cast<int>(FinishCode::Cancelled));
    THROWS("closed", caller.submit({1}, 5));
  }
}

TEST(close_collects_the_step_in_flight) {
  int n_open = 0;
  FakeOptions o = options(1);
  o.step_microseconds = 500;
  Caller caller(std::make_unique<Failing>(o, At::Forward, -1, &n_open));
  const uint32_t id = caller.submit({1}, 500);
  caller.wait([&] { return !caller.told[id].tokens.empty(); });
  caller.engine.close();
  CHECK(n_open == 0);
}

TEST(two_engines_live_in_one_process) {
  Caller a(options()), b(options(1));
  const uint32_t in_a = a.submit({1}, 30), in_b = b.submit({2}, 30);
  b.wait_for(in_b);
  a.wait_for(in_a);
  CHECK(a.told[in_a].tokens == expected({1}, 30) && b.told[in_b].tokens == expected({2}, 30));
}

TEST(a_slow_caller_finds_more_per_wake) {
  int n_wakes = 0;
  Outbox counted([&] { ++n_wakes; });
  Events events;
  events.add(1, EventKind::Token, 5, -1);
  for (int i = 0; i < 100; ++i) counted.post(events);
  CHECK(n_wakes == 1 && counted.drain().events.size() == 100 && counted.drain().empty());
  counted.post(events);
  CHECK(n_wakes == 2);
}
