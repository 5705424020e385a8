// A warp a row: joins the chunks' findings into the answer. Bound by latency: a few reads of each chunk's. No source.
#include "cuda/kernels/sample_row.h"

namespace gattling::cuda {
namespace {

// Natural log of the sum of e^x over the row.
__device__ double log_sum(const SampleBatch& b, int row, float max) {
  const ChunkSurvey* chunks = b.surveys + row * b.n_chunks;
  double sum = 0;
  for (int i = lane_id(); i < b.n_chunks; i += kWarp)
    sum += chunks[i].sum * exp(static_cast<double>(chunks[i].max) - static_cast<double>(max));
  return static_cast<double>(max) + log(warp_total(sum));
}

__device__ SampleStatus pick(const SampleBatch& b, int row, const SampleTask& task, uint64_t best, int32_t& token) {
  if (task.mask_stamp != 0 && mask_of(b, task) == nullptr) return SampleStatus::NotSampled;
  if (value_of(best) == kNone) return SampleStatus::NoToken;
  if (b.slots[task.slot].temperature > 0) {
    best = 0;
    for (int i = lane_id(); i < b.n_chunks; i += kWarp) {
      const uint64_t other = b.draws[row * b.n_chunks + i];
      best = other > best ? other : best;
    }
    best = warp_max(best);
  }
  token = id_of(best);
  return SampleStatus::Ok;
}

// What the slot remembers of a token that was drawn.
__device__ void take(const SampleBatch& b, int slot, int32_t token) {
  b.last_tokens[slot] = token;
  if (b.slots[slot].penalises) b.counts[slot * b.row_size + token] += 1;
}

__global__ void __launch_bounds__(kWarp) finish_kernel(SampleBatch b) {
  const int row = static_cast<int>(blockIdx.x);
  const SampleTask& task = b.tasks[row];
  const RowSummary summary = summarise(b, row);
  SampleAnswer answer = {0, SampleStatus::Ok, 0, 0};
  if (!summary.finite) {
    answer.status = SampleStatus::NotFinite;
    if (lane_id() == 0) b.answers[row] = answer;
    return;
  }
  if (task.sample) answer.status = pick(b, row, task, summary.best, answer.token);
  if (task.wants_sum) {
    const double log_total = log_sum(b, row, summary.max);
    const float* logits = b.logits + row * b.stride;
    const auto logprob = [&](int32_t token) {
      return static_cast<float>(static_cast<double>(logits[token]) - log_total);
    };
    answer.logprob = logprob(answer.token);
    if (task.target >= 0) answer.target_logprob = logprob(task.target);
    if (lane_id() < task.n_top) {
      float& logit = b.tops[task.top_row].logprobs[lane_id()];
      logit = static_cast<float>(static_cast<double>(logit) - log_total);
    }
  }
  if (lane_id() > 0) return;
  b.answers[row] = answer;
  if (task.sample && answer.status == SampleStatus::Ok) take(b, task.slot, answer.token);
}

}  // namespace

void sample_finish(const SampleBatch& batch, Stream& stream) {
  static_assert(kSampleTop <= kWarp, "a lane reports each of the best tokens");
  launch(finish_kernel, Dim(static_cast<unsigned>(batch.n_rows)), Dim(kWarp), 0, stream, batch);
}

}  // namespace gattling::cuda
