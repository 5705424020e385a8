#include "core/engine.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "backend/error.h"

namespace gattling {

namespace {

SchedulerOptions scheduler_options(const ModelInfo& info, bool prefix_caching) {
  return {info.max_num_seqs, info.max_num_batched_tokens, info.n_blocks, info.block_size, prefix_caching};
}

constexpr size_t kMaxStopIds = 64;

}  // namespace

Engine::Engine(std::unique_ptr<Model> model, bool prefix_caching, std::function<void()> wake)
    : model_(std::move(model)),
      info_(model_->info()),
      scheduler_(scheduler_options(info_, prefix_caching)),
      outbox_(std::move(wake)),
      thread_([this] { run(); }) {}

Engine::~Engine() {
  close();
}

// No exception leaves the thread: one that is not a step's own ends every sequence, and the engine says so from then
// on.
void Engine::run() {
  std::string reason = "an exception of unknown type";
  try {
    return loop();
  } catch (const std::exception& error) {
    reason = error.what();
  } catch (...) {
  }
  try {
    abandon("the engine has stopped: " + reason);
  } catch (...) {  // no memory is left to report with: failure_ is set, and nothing runs
  }
}

void Engine::abandon(const std::string& reason) {
  {
    const std::lock_guard lock(mutex_);
    failure_ = reason;
    std::ranges::move(inbox_, std::back_inserter(commands_));
    inbox_.clear();
  }
  for (const Command& command : commands_)
    if (const auto* sequence = std::get_if<std::unique_ptr<Sequence>>(&command); sequence && *sequence)
      events_.add_error((*sequence)->id, reason);
  scheduler_.fail_all(reason, events_);
  outbox_.fail(events_, reason);
}

// With depth 1 a step is planned and enqueued while the one before it runs; with depth 0 it retires at once. A step
// with constrained rows samples as late as it can, so that their masks, which follow from the tokens just retired, may
// arrive.
void Engine::loop() {
  const int depth = info_.backend.depth;
  InFlight steps[2];
  InFlight* previous = nullptr;
  bool idle = true;
  while (take_commands(idle)) {
    InFlight& next = previous == &steps[0] ? steps[1] : steps[0];
    const bool planned = scheduler_.plan(next.plan);
    idle = !planned && !previous;  // a step that retires or fails may make room for another
    bool launched = planned && forward(next);
    const bool late = launched && next.plan.step.constrained();
    if (launched && !late) launched = sample(next);
    if (previous) retire(*previous);
    if (late) {
      take_commands(false);
      launched = sample(next);
    }
    previous = launched ? &next : nullptr;
    if (depth == 0 && previous) retire(*std::exchange(previous, nullptr));
  }
  if (previous) retire(*previous);
  {
    const std::lock_guard lock(mutex_);
    commands_.swap(inbox_);
  }
  for (Command& command : commands_) execute(command);
  scheduler_.cancel_all(events_);
  post_events();
}

// False when the engine closes.
bool Engine::take_commands(bool wait) {
  {
    std::unique_lock lock(mutex_);
    if (wait) arrived_.wait(lock, [this] { return closing_ || !inbox_.empty(); });
    if (closing_) return false;
    commands_.swap(inbox_);
  }
  for (Command& command : commands_) execute(command);
  commands_.clear();
  post_events();
  return true;
}

void Engine::execute(Command& command) {
  if (auto* sequence = std::get_if<std::unique_ptr<Sequence>>(&command)) {
    scheduler_.add(std::move(*sequence));
  } else if (const auto* cancel = std::get_if<Cancel>(&command)) {
    scheduler_.cancel(cancel->id, events_);
  } else if (auto* mask = std::get_if<Mask>(&command)) {
    scheduler_.set_mask(mask->id, mask->position, std::move(mask->bits));
  } else if (const auto* ask = std::get_if<AskStats>(&command)) {
    const SchedulerStats& s = scheduler_.stats();
    outbox_.reply(
        {ask->request,
         {scheduler_.n_running(), scheduler_.n_waiting(), scheduler_.blocks().n_free(), scheduler_.blocks().n_blocks(),
          n_steps_, s.n_preemptions, s.n_prompt_tokens, s.n_cached_tokens, s.n_generated_tokens}});
  }
}

bool Engine::forward(InFlight& next) {
  try {
    model_->forward(next.plan.step);
    ++n_steps_;
    return true;
  } catch (const std::exception& error) {
    fail_step(next, error);
    return false;
  }
}

bool Engine::sample(InFlight& next) {
  try {
    for (size_t i = 0; i < next.plan.sequences.size(); ++i) {
      const Slice& slice = next.plan.step.slices[i];
      const Sequence& sequence = *next.plan.sequences[i];
      if (slice.sample && slice.constrained && sequence.mask_position == slice.start + slice.count)
        model_->set_mask(slice.slot, sequence.mask);
    }
    next.ticket = model_->sample();
    return true;
  } catch (const std::exception& error) {
    fail_step(next, error);
    return false;
  }
}

void Engine::retire(InFlight& oldest) {
  const StepResult* result;
  try {
    result = &model_->collect(oldest.ticket);
  } catch (const std::exception& error) {
    return fail_step(oldest, error);
  }
  scheduler_.retire(oldest.plan, *result, events_);
  post_events();
}

void Engine::fail_step(InFlight& step, const std::exception& error) {
  scheduler_.retire_failed(step.plan, error.what(), events_);
  post_events();
}

void Engine::post_events() {
  outbox_.post(events_);
  events_.clear();
}

uint32_t Engine::submit(std::unique_ptr<Sequence> sequence) {
  validate(*sequence);
  sequence->n_prompt = static_cast<int>(sequence->tokens.size());
  const std::lock_guard lock(mutex_);
  check_open();
  const uint32_t id = sequence->id = ++last_id_;
  inbox_.push_back(std::move(sequence));
  arrived_.notify_one();
  return id;
}

void Engine::validate(const Sequence& s) const {
  const ModelInfo& m = info();
  const auto in_vocabulary = [&](int32_t token) { return token >= 0 && token < m.vocab_size; };
  check(!s.tokens.empty(), "a prompt needs at least one token");
  check(s.max_tokens > 0 || (s.max_tokens == 0 && s.prompt_top >= 0), "max_tokens is ", s.max_tokens,
        "; it must be at least 1");
  const auto n_prompt = static_cast<int64_t>(s.tokens.size());
  check(n_prompt + s.max_tokens <= m.max_model_len, "prompt of ", n_prompt, " and completion of ", s.max_tokens,
        " tokens; the model takes ", m.max_model_len, " together");
  for (int32_t token : s.tokens)
    check(in_vocabulary(token), "token ", token, " is outside the vocabulary of ", m.vocab_size);
  check(s.top >= -1 && s.top <= kMaxTop && s.prompt_top >= -1 && s.prompt_top <= kMaxTop, "at most ", kMaxTop,
        " logprobs");
  check(s.sampling.stop_ids.size() <= kMaxStopIds, "at most ", kMaxStopIds, " stop tokens");
  for (int32_t token : s.sampling.stop_ids)
    check(in_vocabulary(token), "stop token ", token, " is outside the vocabulary of ", m.vocab_size);
  for (const auto& [token, value] : s.sampling.bias)
    check(in_vocabulary(token) && std::isfinite(value), "bias of token ", token,
          " must be finite and inside the vocabulary");
  const Sampling& p = s.sampling;
  for (float value : {p.temperature, p.top_p, p.min_p, p.presence_penalty, p.frequency_penalty, p.repetition_penalty})
    check(std::isfinite(value), "sampling parameters must be finite");
  check(p.temperature >= 0 && p.repetition_penalty > 0 && p.top_k >= 0,
        "temperature and top_k must not be negative, "
        "repetition_penalty must be positive");
}

void Engine::cancel(uint32_t id) {
  post(Cancel{id});
}

void Engine::mask(uint32_t id, int position, std::vector<uint32_t> bits) {
  const size_t n_words = (info().vocab_size + 31) / 32;
  check(bits.size() == n_words, "a mask of ", bits.size(), " words; the vocabulary takes ", n_words);
  post(Mask{id, position, std::move(bits)});
}

void Engine::stats(uint64_t request) {
  const std::lock_guard lock(mutex_);
  check_open();
  inbox_.push_back(AskStats{request});
  arrived_.notify_one();
}

// Under the lock.
void Engine::check_open() const {
  check(!closing_, "the engine is closed");
  check(failure_.empty(), failure_);
}

void Engine::post(Command command) {
  const std::lock_guard lock(mutex_);
  if (closing_ || !failure_.empty()) return;
  inbox_.push_back(std::move(command));
  arrived_.notify_one();
}

void Engine::close() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    arrived_.notify_one();
  }
  std::call_once(joined_, [this] { thread_.join(); });
}

}  // namespace gattling
