// What the engine tells its caller: parallel arrays, one entry per event. src/native/addon.ts describes the columns.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backend/step.h"

namespace gattling {

enum class EventKind : uint8_t { Token, PromptToken, Finish };
enum class FinishCode : uint8_t { Stop, Length, Cancelled, Error };

struct Events {
  std::vector<uint32_t> ids;
  std::vector<uint8_t> kinds;
  std::vector<int32_t> a, b, c;
  std::vector<float> logprobs;
  std::vector<int32_t> top_ids;
  std::vector<std::string> errors;

  bool empty() const { return ids.empty(); }
  size_t size() const { return ids.size(); }

  void add(uint32_t id, EventKind kind, int32_t first, int32_t second, int32_t third = -1) {
    ids.push_back(id);
    kinds.push_back(static_cast<uint8_t>(kind));
    a.push_back(first);
    b.push_back(second);
    c.push_back(third);
  }

  // A sequence's end by an error, of which the caller is told nothing else.
  void add_error(uint32_t id, const std::string& error, int32_t n_cached = 0) {
    add(id, EventKind::Finish, static_cast<int32_t>(FinishCode::Error), n_cached);
    errors.push_back(error);
  }

  // A token with its log-probability and best alternatives.
  void add_scored(uint32_t id, EventKind kind, const StepResult::Entry& entry, const StepResult& result) {
    add(id, kind, entry.token, entry.n_top);
    logprobs.push_back(entry.logprob);
    const auto first = result.top_logprobs.begin() + entry.first_top;
    logprobs.insert(logprobs.end(), first, first + entry.n_top);
    const auto first_id = result.top_ids.begin() + entry.first_top;
    top_ids.insert(top_ids.end(), first_id, first_id + entry.n_top);
  }

  void append(const Events& other) {
    const auto join = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
    join(ids, other.ids);
    join(kinds, other.kinds);
    join(a, other.a);
    join(b, other.b);
    join(c, other.c);
    join(logprobs, other.logprobs);
    join(top_ids, other.top_ids);
    join(errors, other.errors);
  }

  void clear() {
    ids.clear();
    kinds.clear();
    a.clear();
    b.clear();
    c.clear();
    logprobs.clear();
    top_ids.clear();
    errors.clear();
  }
};

}  // namespace gattling
