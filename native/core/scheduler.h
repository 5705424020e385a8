// Decides what the next step computes. One rule: every running sequence gets min(n_tokens - n_computed, budget) tokens;
// chunked prefill, prefix hits, preemption by recompute and continuous batching all follow from it. Pure: no clock, no
// I/O, no device.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "backend/step.h"
#include "core/block_manager.h"
#include "core/events.h"
#include "core/sequence.h"

namespace gattling {

struct SchedulerOptions {
  int max_num_seqs = 256;
  int max_num_batched_tokens = 512;
  int n_blocks = 0;
  int block_size = 16;
  bool prefix_caching = true;
};

// A step and the sequences of its slices.
struct Plan {
  Step step;
  std::vector<Sequence*> sequences;
};

struct SchedulerStats {
  uint64_t n_preemptions = 0;
  uint64_t n_prompt_tokens = 0;  // of admitted sequences
  uint64_t n_cached_tokens = 0;  // of these, found in the prefix cache
  uint64_t n_generated_tokens = 0;
};

class Scheduler {
 public:
  explicit Scheduler(const SchedulerOptions& options);

  // Takes the sequence in; it must fit into the cache alone.
  void add(std::unique_ptr<Sequence> sequence);
  // Ends a sequence with this event; unknown ids are ignored.
  void cancel(uint32_t id, Events& events);
  void cancel_all(Events& events);
  // Ends every sequence with the error and leaves all else as it is: nothing may be planned or retired any more.
  void fail_all(const std::string& error, Events& events);
  void set_mask(uint32_t id, int position, std::vector<uint32_t> bits);

  // Fills the plan; false when there is nothing to compute now.
  bool plan(Plan& plan);
  // Takes the result of the oldest plan not yet retired.
  void retire(const Plan& plan, const StepResult& result, Events& events);
  // The same for a step that failed as a whole: its sequences end with the error.
  void retire_failed(const Plan& plan, const std::string& error, Events& events);

  bool idle() const { return sequences_.empty(); }
  int n_running() const { return static_cast<int>(running_.size()); }
  int n_waiting() const { return static_cast<int>(waiting_.size()); }
  const BlockManager& blocks() const { return blocks_; }
  const SchedulerStats& stats() const { return stats_; }
  // Forces what running out of blocks would do to the youngest running sequence; tests. False when none runs.
  bool preempt_youngest();
  // Throws Error unless blocks, slots and queues add up.
  void check() const;

 private:
  bool make_room(Sequence& sequence, int n_tokens);
  void preempt(Sequence& sequence);
  void admit(Plan& plan, int budget);
  int add_slice(Plan& plan, Sequence& sequence, int count);
  bool report_scores(Sequence& sequence, std::span<const StepResult::Entry> scored, const StepResult& result,
                     Events& events);
  void take(Sequence& sequence, const StepResult::Entry& entry, const StepResult& result, Events& events);
  void finish(Sequence& sequence, FinishCode code, int32_t stop_token, Events& events, const std::string& error = "");
  void depart(Sequence& sequence);
  void vacate(Sequence& sequence);
  void reap();

  SchedulerOptions options_;
  BlockManager blocks_;
  SchedulerStats stats_;
  std::unordered_map<uint32_t, std::unique_ptr<Sequence>> sequences_;
  std::deque<Sequence*> waiting_;
  std::vector<Sequence*> running_;  // in order of admission; a prefill in chunks is always the last
  int n_departing_ = 0;
  std::vector<uint32_t> dead_;  // finished, nothing in flight: erased at the end of the call
  std::vector<int> free_slots_;
};

}  // namespace gattling
