// A model without weights: its tokens are a pure function of the token before and the position, its step takes a fixed
// time. It measures everything around the model, and drives tests of the engine.
#pragma once

#include <memory>

#include "model/model.h"

namespace gattling {

struct FakeOptions {
  int vocab_size = 32000;
  int max_model_len = 4096;
  int max_num_seqs = 256;
  int max_num_batched_tokens = 256;
  int block_size = 16;
  int n_blocks = 0;  // 0: all slots at full length
  int step_microseconds = 0;
  int depth = 0;              // 1: collect() waits out the step's time, as for an asynchronous device
  int not_finite_token = -1;  // a row whose token is this one has NaN logits
  int fail_token = -1;        // a step that holds this token throws
};

std::unique_ptr<Model> make_fake_model(const FakeOptions& options);

// The token that follows `token` at `position` (its own index in the sequence).
int32_t fake_next(int32_t token, int position, int vocab_size);

}  // namespace gattling
