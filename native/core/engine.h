// The loop thread: takes commands from the inbox, plans, runs the model, and posts what came of it to the outbox.
#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "core/outbox.h"
#include "core/scheduler.h"
#include "model/model.h"

namespace gattling {

class Engine {
 public:
  // `wake` is called on the loop thread when drain() has something new.
  Engine(std::unique_ptr<Model> model, bool prefix_caching, std::function<void()> wake);
  ~Engine();

  const ModelInfo& info() const { return info_; }

  // Any thread. submit() and stats() throw Error once the loop has ended, submit() also on what could touch memory; it
  // sets and returns the sequence's id.
  uint32_t submit(std::unique_ptr<Sequence> sequence);
  void cancel(uint32_t id);
  void mask(uint32_t id, int position, std::vector<uint32_t> bits);
  void stats(uint64_t request);
  Mail drain() { return outbox_.drain(); }

  // Ends every sequence as cancelled and joins the loop. Idempotent; the outbox stays readable.
  void close();
  // After close(): frees the weights and the cache; info() stays.
  void unload() { model_.reset(); }

 private:
  struct InFlight {
    Plan plan;
    Ticket ticket = 0;
  };
  struct Cancel {
    uint32_t id;
  };
  struct Mask {
    uint32_t id;
    int position;
    std::vector<uint32_t> bits;
  };
  struct AskStats {
    uint64_t request;
  };
  using Command = std::variant<std::unique_ptr<Sequence>, Cancel, Mask, AskStats>;

  void run();
  void loop();
  void abandon(const std::string& reason);
  bool take_commands(bool wait);
  void execute(Command& command);
  bool forward(InFlight& next);
  bool sample(InFlight& next);
  void retire(InFlight& oldest);
  void fail_step(InFlight& step, const std::exception& error);
  void post_events();
  void post(Command command);
  void check_open() const;
  void validate(const Sequence& sequence) const;

  std::unique_ptr<Model> model_;
  const ModelInfo info_;
  Scheduler scheduler_;
  Outbox outbox_;
  // Of the loop thread:
  Events events_;
  std::vector<Command> commands_;
  uint64_t n_steps_ = 0;

  std::mutex mutex_;  // guards the next five
  std::condition_variable arrived_;
  std::vector<Command> inbox_;
  uint32_t last_id_ = 0;
  bool closing_ = false;
  std::string failure_;  // why the loop ended by itself; empty while it lives

  std::once_flag joined_;
  std::thread thread_;
};

}  // namespace gattling
