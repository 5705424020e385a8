// What the engine thread hands to its caller's thread. The caller is woken only when the outbox turns from empty to
// non-empty and drains it whole, so that a slow caller finds more per wake-up instead of falling behind.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/events.h"

namespace gattling {

struct EngineStats {
  int n_running = 0;
  int n_waiting = 0;
  int n_free_blocks = 0;
  int n_blocks = 0;
  uint64_t n_steps = 0;
  uint64_t n_preemptions = 0;
  uint64_t n_prompt_tokens = 0;
  uint64_t n_cached_tokens = 0;
  uint64_t n_generated_tokens = 0;
};

struct StatsReply {
  uint64_t request;
  EngineStats stats;
};

struct Mail {
  Events events;
  std::vector<StatsReply> replies;
  std::string failure;  // why the loop ended by itself: nothing more comes

  bool empty() const { return events.empty() && replies.empty() && failure.empty(); }
};

class Outbox {
 public:
  // `wake` is called on the thread that posts, and must not block.
  explicit Outbox(std::function<void()> wake) : wake_(std::move(wake)) {}

  void post(const Events& events) {
    if (events.empty()) return;
    put([&](Mail& mail) { mail.events.append(events); });
  }
  void reply(const StatsReply& reply) {
    put([&](Mail& mail) { mail.replies.push_back(reply); });
  }
  // Wakes even a caller whose last wake-up was lost.
  void fail(const Events& events, const std::string& reason) {
    {
      const std::lock_guard lock(mutex_);
      mail_.failure = reason;
      mail_.events.append(events);
    }
    wake_();
  }
  Mail drain() {
    const std::lock_guard lock(mutex_);
    return std::exchange(mail_, {});
  }

 private:
  template <typename Change>
  void put(Change change) {
    bool was_empty;
    {
      const std::lock_guard lock(mutex_);
      was_empty = mail_.empty();
      change(mail_);
    }
    if (was_empty) wake_();
  }

  std::function<void()> wake_;
  std::mutex mutex_;
  Mail mail_;
};

}  // namespace gattling
