// Scores and samples rows of logits (Gumbel-max; filters by radix selection). Four kernels, each a launch of its own:
//   survey  a block a chunk of a row: what is not finite, the sum of e^x, the logits adjusted, the best of them
//   select  a block a row: the best tokens to report, and the worst token that top_k and top_p keep
//   draw    a block a chunk of a row: the best of the chunk's scores
//   finish  a warp a row: the answer, and the slot's last token and counts
// Chunks have a fixed size and every sum a fixed order or integers, so that the bits of a row depend on the row alone.
#pragma once

#include "cuda/kernels/common.h"

namespace gattling::cuda {

constexpr int kSampleChunk = 4096;  // tokens
constexpr int kSampleTop = 20;      // best tokens of a row that can be reported

// As RowStatus of backend/step.h.
enum class SampleStatus : int32_t { Ok, NotFinite, NotSampled, NoToken };

struct LogitBias {
  int32_t token;
  float value;
};

// A slot's sampling, on the device as long as the slot lives.
struct SlotSampling {
  uint64_t seed;
  LogitBias* bias;  // [n_bias], each token once
  int32_t* stops;   // [n_stops]
  int32_t n_bias;
  int32_t n_stops;
  float temperature;  // 0: greedy
  int32_t top_k;      // 0: off; below the vocabulary's size
  float top_p;        // 1: off
  float least;        // min_p: of logits that are tempered and at most 0; -infinity: off
  float presence;
  float frequency;
  float repetition;
  int32_t penalises;  // it has counts
  int32_t n_prompt;
  int32_t min_tokens;
};

// A token's count in a slot: 0 unless it has been seen.
constexpr uint32_t kSeenInPrompt = 0x80000000u;  // the other bits: how often it was generated

// A sequence moves into a slot. What its lists and counts are made of lies at byte offsets of the same upload.
struct SlotSetup {
  SlotSampling sampling;
  int64_t tokens;  // int32 [n_tokens], to be counted
  int64_t bias;    // LogitBias [sampling.n_bias]
  int64_t stops;   // int32 [sampling.n_stops]
  int32_t n_tokens;
  int32_t slot;
  int32_t last_token;
  int32_t padding;
};

// What is asked of a row.
struct SampleTask {
  int32_t slot;
  int32_t position;     // index of the token to be drawn
  int32_t target;       // token to score, -1: none
  int32_t sample;       // 1: draw a token
  int32_t wants_sum;    // 1: log-probabilities are reported
  int32_t n_top;        // best tokens
  int32_t top_row;      // in SampleBatch::tops
  uint32_t mask_stamp;  // of the mask that a constrained row needs, 0: it needs none
};

struct SampleAnswer {
  int32_t token;
  SampleStatus status;
  float logprob;         // of the token
  float target_logprob;  // of the target
};

struct SampleTops {
  int32_t ids[kSampleTop];
  float logprobs[kSampleTop];
};

// What the survey found in a chunk. Keys order tokens: by value, then the lower id first.
struct ChunkSurvey {
  double sum;      // of e^(x - max), raw
  uint64_t best;   // key of the best adjusted logit
  float max;       // raw
  int32_t finite;  // 1: all of them
};

struct SampleBatch {
  const float* logits;  // [n_rows, stride]
  int64_t stride;
  int32_t aligned;  // 1: rows allow loads of 16 bytes, and the last may reach past the vocabulary
  int32_t vocab_size;
  int32_t n_rows;
  int32_t n_chunks;
  const SampleTask* tasks;    // [n_rows]
  const SlotSampling* slots;  // [n_slots]
  uint32_t* counts;           // [n_slots, row_size], null while no slot has penalties
  float* adjusted;            // [n_rows, row_size], null while no slot needs it
  int64_t row_size;           // the vocabulary's size rounded up to a multiple of 64
  const uint32_t* masks;      // [n_slots, mask_size], null while none came: the bits, and last the stamp
  int64_t mask_size;
  ChunkSurvey* surveys;   // [n_rows, n_chunks]
  uint64_t* cuts;         // [n_rows], of rows with top_k or top_p: the least key that is kept
  uint64_t* draws;        // [n_rows, n_chunks], of rows that draw at random: the best score's key
  SampleAnswer* answers;  // [n_rows]
  SampleTops* tops;       // [rows that report some]
  int32_t* last_tokens;   // [n_slots]
};

// Writes slots, last tokens and counts from `n` setups, which begin `upload`.
void sample_setup(const std::byte* upload, int n, SlotSampling* slots, int32_t* last_tokens, uint32_t* counts,
                  int64_t row_size, Stream& stream);

void sample_survey(const SampleBatch& batch, Stream& stream);
void sample_select(const SampleBatch& batch, Stream& stream);  // when a row reports best tokens, has top_k or top_p
void sample_draw(const SampleBatch& batch, Stream& stream);    // when a row has a temperature
void sample_finish(const SampleBatch& batch, Stream& stream);

}  // namespace gattling::cuda
