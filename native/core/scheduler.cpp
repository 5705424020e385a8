#include "core/scheduler.h"

#include <algorithm>
#include <utility>

#include "backend/error.h"

namespace gattling {

Scheduler::Scheduler(const SchedulerOptions& options)
    : options_(options), blocks_(options.n_blocks, options.block_size, options.prefix_caching) {
  for (int slot = options.max_num_seqs; slot-- > 0;) free_slots_.push_back(slot);
}

void Scheduler::add(std::unique_ptr<Sequence> sequence) {
  const int longest = sequence->n_prompt + std::max(sequence->max_tokens - 1, 0);
  gattling::check(blocks_.blocks_for(longest) <= blocks_.n_blocks(), "a sequence of ", longest,
                  " tokens was submitted; the KV cache holds ", blocks_.n_blocks() * blocks_.block_size());
  sequence->n_tokens = static_cast<int>(sequence->tokens.size());
  waiting_.push_back(sequence.get());
  sequences_[sequence->id] = std::move(sequence);
}

void Scheduler::cancel(uint32_t id, Events& events) {
  const auto found = sequences_.find(id);
  if (found == sequences_.end() || found->second->finished) return;
  finish(*found->second, FinishCode::Cancelled, -1, events);
  reap();
}

void Scheduler::cancel_all(Events& events) {
  for (auto& [id, sequence] : sequences_)
    if (!sequence->finished) finish(*sequence, FinishCode::Cancelled, -1, events);
  reap();
}

void Scheduler::fail_all(const std::string& error, Events& events) {
  for (auto& [id, sequence] : sequences_)
    if (!std::exchange(sequence->finished, true)) events.add_error(id, error, sequence->n_cached);
}

void Scheduler::set_mask(uint32_t id, int position, std::vector<uint32_t> bits) {
  const auto found = sequences_.find(id);
  if (found == sequences_.end()) return;
  found->second->mask = std::move(bits);
  found->second->mask_position = position;
}

bool Scheduler::plan(Plan& plan) {
  plan.step.clear();
  plan.sequences.clear();
  int budget = options_.max_num_batched_tokens;
  const uint64_t n_preemptions = stats_.n_preemptions;
  // make_room() takes sequences from the back of running_, which this loop has not reached.
  for (size_t i = 0; i < running_.size() && budget > 0; ++i) {
    Sequence& sequence = *running_[i];
    const int count = sequence.awaits_mask() ? 0 : std::min(sequence.n_pending(), budget);
    if (count > 0 && make_room(sequence, sequence.n_computed + count)) budget -= add_slice(plan, sequence, count);
  }
  if (stats_.n_preemptions == n_preemptions) admit(plan, budget);
  return !plan.step.slices.empty();
}

// Room for n_tokens of a running sequence, at the cost of younger ones. False: not in this step.
bool Scheduler::make_room(Sequence& sequence, int n_tokens) {
  while (!blocks_.grow(sequence.table, n_tokens)) {
    if (n_departing_ > 0) return false;  // blocks come back when the step in flight retires
    Sequence& youngest = *running_.back();
    preempt(youngest);
    if (&youngest == &sequence) return false;
  }
  return true;
}

void Scheduler::preempt(Sequence& sequence) {
  ++stats_.n_preemptions;
  std::erase(running_, &sequence);
  waiting_.push_front(&sequence);
  sequence.n_computed = 0;
  depart(sequence);
}

bool Scheduler::preempt_youngest() {
  if (running_.empty()) return false;
  preempt(*running_.back());
  return true;
}

// First come, first served: the head of the queue waits for blocks for all its tokens, and nobody overtakes it. No more
// run than a step has tokens for, so that each gets one.
void Scheduler::admit(Plan& plan, int budget) {
  const size_t most = options_.max_num_batched_tokens;
  while (!waiting_.empty() && budget > 0 && !free_slots_.empty() && running_.size() < most) {
    Sequence& sequence = *waiting_.front();
    if (sequence.departing) return;
    const int n_matched = sequence.prompt_top < 0 ? blocks_.match(sequence.table, sequence.tokens) : 0;
    const int n_more = blocks_.blocks_for(sequence.n_tokens) - static_cast<int>(sequence.table.blocks.size());
    // Spare blocks keep the newcomer from being preempted at once by those who grow.
    const int n_spare = running_.empty() ? 0 : blocks_.n_blocks() / 100;
    if (n_more + n_spare > blocks_.n_free()) return blocks_.release(sequence.table);
    blocks_.grow(sequence.table, sequence.n_tokens);
    waiting_.pop_front();
    running_.push_back(&sequence);
    sequence.n_computed = n_matched;
    if (!sequence.admitted) {
      sequence.admitted = true;
      sequence.n_cached = n_matched;
      stats_.n_cached_tokens += n_matched;
      stats_.n_prompt_tokens += sequence.n_prompt;
    }
    sequence.slot = free_slots_.back();
    free_slots_.pop_back();
    plan.step.inits.push_back({sequence.slot, &sequence.sampling, sequence.tokens, sequence.n_prompt});
    budget -= add_slice(plan, sequence, std::min(sequence.n_pending(), budget));
  }
}

// Returns how many tokens the slice has: at most `count`.
int Scheduler::add_slice(Plan& plan, Sequence& sequence, int count) {
  Step& step = plan.step;
  const int start = sequence.n_computed;
  int n_score = 0;
  if (sequence.prompt_top >= 0) {
    // A preempted prompt is computed again but not scored again; no slice straddles the two parts.
    if (start < sequence.n_scored)
      count = std::min(count, sequence.n_scored - start);
    else
      n_score = std::clamp(sequence.n_prompt - 1 - start, 0, count);
    sequence.n_scored += n_score;
  }
  const bool sample = sequence.max_tokens > 0 && start + count == sequence.n_tokens;
  const int n_known = static_cast<int>(sequence.tokens.size());
  for (int i = start; i < start + count; ++i) step.tokens.push_back(i < n_known ? sequence.tokens[i] : kFromPool);
  for (int i = start + 1; i <= start + n_score; ++i) step.targets.push_back(sequence.tokens[i]);
  for (int& told = sequence.n_told; told < static_cast<int>(sequence.table.blocks.size()); ++told)
    step.blocks.push_back({sequence.slot, told, sequence.table.blocks[told]});
  step.slices.push_back({sequence.slot, start, count, sample, sequence.constrained, sequence.top, n_score,
                         sequence.prompt_top, Rows::None});
  plan.sequences.push_back(&sequence);
  sequence.unsampled = false;
  sequence.n_computed += count;
  sequence.n_tokens += sample;
  ++sequence.in_flight;
  return count;
}

void Scheduler::retire(const Plan& plan, const StepResult& result, Events& events) {
  size_t n_scored = 0, n_sampled = 0;
  for (size_t i = 0; i < plan.sequences.size(); ++i) {
    Sequence& sequence = *plan.sequences[i];
    const Slice& slice = plan.step.slices[i];
    const auto scored = std::span(result.scored).subspan(n_scored, slice.n_score);
    const StepResult::Entry* sampled = slice.sample ? &result.sampled[n_sampled++] : nullptr;
    n_scored += slice.n_score;
    --sequence.in_flight;
    if (sequence.n_void > 0) {
      --sequence.n_void;
    } else if (!sequence.finished) {
      const bool finite = report_scores(sequence, scored, result, events);
      // What was not sampled is computed again, into a block that must not be shared by then.
      const bool again = sampled && sampled->status == RowStatus::NotSampled;
      if (finite) blocks_.commit(sequence.table, sequence.tokens, slice.start + slice.count - (again ? 1 : 0));
      if (finite && sampled) take(sequence, *sampled, result, events);
      if (finite && sequence.max_tokens == 0 && slice.start + slice.count == sequence.n_prompt)
        finish(sequence, FinishCode::Length, -1, events);
    }
    if (sequence.departing && sequence.in_flight == 0) vacate(sequence);
  }
  reap();
}

void Scheduler::retire_failed(const Plan& plan, const std::string& error, Events& events) {
  for (Sequence* sequence : plan.sequences) {
    --sequence->in_flight;
    if (!sequence->finished)
      finish(*sequence, FinishCode::Error, -1, events, error);
    else if (sequence->in_flight == 0)
      vacate(*sequence);
  }
  reap();
}

// False when a row was not finite: the sequence has ended.
bool Scheduler::report_scores(Sequence& sequence, std::span<const StepResult::Entry> scored, const StepResult& result,
                              Events& events) {
  if (sequence.prompt_top >= 0 && !sequence.reported) {
    sequence.reported = true;
    events.add(sequence.id, EventKind::PromptToken, sequence.tokens[0], -1);
  }
  for (const StepResult::Entry& entry : scored) {
    if (entry.status != RowStatus::Ok) {
      blocks_.unregister(sequence.table);
      finish(sequence, FinishCode::Error, -1, events, "the model's logits for this prompt are not finite");
      return false;
    }
    events.add_scored(sequence.id, EventKind::PromptToken, entry, result);
  }
  return true;
}

// Takes the sampled token in, or ends the sequence.
void Scheduler::take(Sequence& sequence, const StepResult::Entry& entry, const StepResult& result, Events& events) {
  switch (entry.status) {
    case RowStatus::NotFinite:
      blocks_.unregister(sequence.table);
      return finish(sequence, FinishCode::Error, -1, events, "the model's logits are not finite");
    case RowStatus::NoToken:
      return finish(sequence, FinishCode::Error, -1, events, "the mask forbids every token");
    case RowStatus::NotSampled:  // its last known token is computed again when the mask has come; what is in flight
                                 // built on a token that never was
      sequence.unsampled = true;
      sequence.n_tokens = static_cast<int>(sequence.tokens.size());
      sequence.n_computed = std::min(sequence.n_computed, sequence.n_tokens - 1);
      sequence.n_void = sequence.in_flight;
      return;
    case RowStatus::Ok:
      break;
  }
  ++stats_.n_generated_tokens;
  if (std::ranges::find(sequence.sampling.stop_ids, entry.token) != sequence.sampling.stop_ids.end())
    return finish(sequence, FinishCode::Stop, entry.token, events);
  sequence.tokens.push_back(entry.token);
  if (sequence.top < 0)
    events.add(sequence.id, EventKind::Token, entry.token, -1);
  else
    events.add_scored(sequence.id, EventKind::Token, entry, result);
  if (static_cast<int>(sequence.tokens.size()) == sequence.n_prompt + sequence.max_tokens)
    finish(sequence, FinishCode::Length, -1, events);
}

void Scheduler::finish(Sequence& sequence, FinishCode code, int32_t stop_token, Events& events,
                       const std::string& error) {
  events.add(sequence.id, EventKind::Finish, static_cast<int32_t>(code), sequence.n_cached, stop_token);
  if (code == FinishCode::Error) events.errors.push_back(error);
  sequence.finished = true;
  if (std::erase(running_, &sequence) == 0) std::erase(waiting_, &sequence);
  depart(sequence);
}

// Leaves its slot and blocks, now or when the last step that names them retires.
void Scheduler::depart(Sequence& sequence) {
  if (!sequence.departing) {
    sequence.departing = true;
    ++n_departing_;
  }
  if (sequence.in_flight == 0) vacate(sequence);
}

void Scheduler::vacate(Sequence& sequence) {
  blocks_.release(sequence.table);
  sequence.n_told = 0;
  if (sequence.slot >= 0) free_slots_.push_back(sequence.slot);
  sequence.slot = -1;
  sequence.departing = false;
  --n_departing_;
  if (sequence.finished) dead_.push_back(sequence.id);
}

void Scheduler::reap() {
  for (uint32_t id : dead_) sequences_.erase(id);
  dead_.clear();
}

void Scheduler::check() const {
  std::vector<const BlockTable*> tables;
  size_t n_slots = free_slots_.size(), n_departing = 0, n_live = 0;
  for (const auto& [id, sequence] : sequences_) {
    tables.push_back(&sequence->table);
    n_slots += sequence->slot >= 0;
    n_departing += sequence->departing;
    n_live += !sequence->finished;
  }
  blocks_.check(tables);
  gattling::check(n_slots == static_cast<size_t>(options_.max_num_seqs), n_slots, " slots of ", options_.max_num_seqs);
  gattling::check(n_departing == static_cast<size_t>(n_departing_), n_departing, " departing, counted ", n_departing_);
  gattling::check(n_live == running_.size() + waiting_.size(), n_live, " live sequences, ", running_.size(),
                  " running and ", waiting_.size(), " waiting");
}

}  // namespace gattling
