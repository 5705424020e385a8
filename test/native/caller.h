// A caller of the engine: submits, waits for wake-ups, and keeps what each sequence was told.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/engine.h"

namespace test {

class Caller {
 public:
  struct Scored {
    int32_t token;
    float logprob;
    std::vector<int32_t> top_ids;
    std::vector<float> top_logprobs;
    bool operator==(const Scored&) const = default;
  };
  struct Told {
    std::vector<int32_t> tokens;
    std::vector<Scored> scored, prompt_scored;  // with log-probabilities
    int finish = -1;
    int n_cached = 0;
    std::string error;
  };

  explicit Caller(std::unique_ptr<gattling::Model> model, bool prefix_caching = true)
      : engine(std::move(model), prefix_caching, [this] { wake(); }) {}

  uint32_t submit(std::vector<int32_t> prompt, int max_tokens, bool constrained = false) {
    auto s = std::make_unique<gattling::Sequence>();
    s->tokens = std::move(prompt);
    s->max_tokens = max_tokens;
    s->constrained = constrained;
    return engine.submit(std::move(s));
  }

  // Takes mail as it comes until `done`, which the events make true.
  template <typename Done>
  void wait(Done done) {
    while (!done()) {
      {
        std::unique_lock lock(mutex_);
        arrived_.wait(lock, [&] { return n_wakes_ > n_seen_; });
        n_seen_ = n_wakes_;
      }
      take();
    }
  }

  void wait_for(uint32_t id) {
    wait([&] { return told[id].finish >= 0; });
  }

  void take() {
    using namespace gattling;
    const Mail mail = engine.drain();
    const Events& e = mail.events;
    size_t error = 0, logprob = 0, top = 0;
    for (size_t i = 0; i < e.size(); ++i) {
      Told& t = told[e.ids[i]];
      const auto kind = static_cast<EventKind>(e.kinds[i]);
      if (kind == EventKind::Finish) {
        t.finish = e.a[i];
        t.n_cached = e.b[i];
        if (t.finish == static_cast<int>(FinishCode::Error)) t.error = e.errors[error++];
        continue;
      }
      if (kind == EventKind::Token) t.tokens.push_back(e.a[i]);
      if (e.b[i] < 0) continue;
      const size_t n = e.b[i];
      Scored scored{e.a[i], e.logprobs[logprob], {}, {}};
      scored.top_logprobs.assign(&e.logprobs[logprob] + 1, &e.logprobs[logprob] + 1 + n);
      scored.top_ids.assign(e.top_ids.begin() + top, e.top_ids.begin() + top + n);
      logprob += 1 + n;
      top += n;
      (kind == EventKind::Token ? t.scored : t.prompt_scored).push_back(scored);
    }
    replies.insert(replies.end(), mail.replies.begin(), mail.replies.end());
  }

  std::map<uint32_t, Told> told;
  std::vector<gattling::StatsReply> replies;

 private:
  void wake() {
    const std::lock_guard lock(mutex_);
    ++n_wakes_;
    arrived_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable arrived_;
  int n_wakes_ = 0, n_seen_ = 0;

 public:
  gattling::Engine engine;  // last: its thread calls wake()
};

}  // namespace test
