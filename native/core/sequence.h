// One choice of one request, from submit to finish. Plain data; the scheduler changes it.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/sampling.h"
#include "core/block_manager.h"

namespace gattling {

struct Sequence {
  uint32_t id = 0;
  Sampling sampling;
  int n_prompt = 0;
  int max_tokens = 0;
  int top = -1;         // log-probabilities of generated tokens: -1 none, else the chosen one's and the k best
  int prompt_top = -1;  // the same for the prompt's
  bool constrained = false;

  std::vector<int32_t> tokens;  // ids known on the host, prompt first
  int n_tokens = 0;             // and a placeholder for each id still in flight
  int n_computed = 0;           // tokens whose KV is in the cache, or will be when the steps in flight are done
  int n_scored = 0;             // prompt rows whose log-probability a step has been asked for
  int n_cached = 0;             // prompt tokens found in the prefix cache, when first admitted
  int slot = -1;                // row of the device's state; -1: not running
  BlockTable table;
  int n_told = 0;          // blocks of the table that the device knows
  int in_flight = 0;       // steps that name this sequence and have not been retired
  int n_void = 0;          // of these, the next so many computed from a token that never was
  bool departing = false;  // finished or preempted; gives up blocks and slot when nothing is in flight
  bool admitted = false;   // has run before
  bool reported = false;   // its first prompt token is out
  bool finished = false;

  std::vector<uint32_t> mask;  // for the token at mask_position
  int mask_position = -1;
  bool unsampled = false;  // its last step had no mask to sample under

  // It is left out of plans until the mask for its next token has come.
  bool awaits_mask() const { return unsampled && mask_position != static_cast<int>(tokens.size()); }

  // Tokens to compute next, not counting the last one of all, which nothing follows.
  int n_pending() const {
    const bool last = max_tokens > 0 && n_tokens == n_prompt + max_tokens;
    return (last ? n_tokens - 1 : n_tokens) - n_computed;
  }
};

}  // namespace gattling
