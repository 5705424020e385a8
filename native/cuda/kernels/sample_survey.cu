// A block a chunk of a row. Bound by reading the logits, 4 bytes a token, which a thread keeps in registers; of rows
// that are adjusted also by their counts and by what is written back, 8 more. Penalties as in CTRL (Keskar et al. 2019,
// section 4.1) and OpenAI's API.
#include "cuda/kernels/sample_row.h"

namespace gattling::cuda {
namespace {

constexpr int kThreads = 128;  // 32 logits each: enough loads in flight, few registers
constexpr int kWarps = kThreads / kWarp;
constexpr int kQuads = kSampleChunk / kThreads / 4;

struct Layout {
  double sums[kWarps];
  uint64_t best[kWarps];
  float maxima[kWarps];
  int finite[kWarps];
  alignas(16) float values[kSampleChunk];  // while they are adjusted
};

using Values = float[kQuads][4];

// Place of a thread's quad in the chunk.
__device__ __forceinline__ int place_of(int quad) {
  return (quad * kThreads + static_cast<int>(threadIdx.x)) * 4;
}

// Keeps what overflowed comparable.
__device__ __forceinline__ float bounded(float logit) {
  constexpr float kMost = 0x1.fffffep127f;
  return fminf(fmaxf(logit, -kMost), kMost);
}

__device__ float penalised(float logit, uint32_t count, const SlotSampling& slot) {
  if (count == 0) return logit;
  logit = logit > 0 ? logit / slot.repetition : product(logit, slot.repetition);
  const uint32_t n_generated = count & ~kSeenInPrompt;
  if (n_generated > 0) logit -= slot.presence + product(slot.frequency, static_cast<float>(n_generated));
  return bounded(logit);
}

// Penalties, into shared memory, where the lists reach every token.
__device__ void penalise(const SampleBatch& b, int slot_index, const SlotSampling& slot, int first, const Values& x) {
  float* values = shared<Layout>().values;
  const uint32_t* counts = slot.penalises ? b.counts + slot_index * b.row_size : nullptr;
  GATTLING_UNROLL
  for (int q = 0; q < kQuads; ++q) {
    const int at = place_of(q);
    uint4 seen = make_uint4(0, 0, 0, 0);
    if (counts != nullptr && first + at < b.vocab_size) seen = *reinterpret_cast<const uint4*>(counts + first + at);
    *reinterpret_cast<float4*>(values + at) = make_float4(penalised(x[q][0], seen.x, slot),  //
                                                          penalised(x[q][1], seen.y, slot),  //
                                                          penalised(x[q][2], seen.z, slot),  //
                                                          penalised(x[q][3], seen.w, slot));
  }
}

// Bias, then the ban of stop tokens, of the chunk from token `first`.
__device__ void apply_lists(const SampleTask& task, const SlotSampling& slot, int first) {
  float* values = shared<Layout>().values;
  for (int i = static_cast<int>(threadIdx.x); i < slot.n_bias; i += kThreads) {
    const int at = slot.bias[i].token - first;
    if (at >= 0 && at < kSampleChunk) values[at] = bounded(values[at] + slot.bias[i].value);
  }
  __syncthreads();
  if (!bans_stops(task, slot)) return;
  for (int i = static_cast<int>(threadIdx.x); i < slot.n_stops; i += kThreads) {
    const int at = slot.stops[i] - first;
    if (at >= 0 && at < kSampleChunk) values[at] = kNone;
  }
  __syncthreads();
}

// The mask, and out to where the later kernels read.
__device__ void write_adjusted(const SampleBatch& b, int row, const uint32_t* mask, int first, Values& x) {
  const float* values = shared<Layout>().values;
  float* out = b.adjusted + row * b.row_size + first;
  GATTLING_UNROLL
  for (int q = 0; q < kQuads; ++q) {
    const int at = place_of(q);
    if (first + at >= b.vocab_size) continue;
    const uint32_t allowed = mask == nullptr ? 15u : mask[(first + at) / 32] >> (first + at) % 32;
    GATTLING_UNROLL
    for (int k = 0; k < 4; ++k) x[q][k] = allowed >> k & 1u ? values[at + k] : kNone;
    *reinterpret_cast<float4*>(out + at) = make_float4(x[q][0], x[q][1], x[q][2], x[q][3]);
  }
}

struct Peak {
  float max;
  bool finite;
};

__device__ Peak peak_of(const Values& x, int n_left) {
  Layout& s = shared<Layout>();
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  float max = kNone;
  bool finite = true;
  GATTLING_UNROLL
  for (int q = 0; q < kQuads; ++q) {
    GATTLING_UNROLL
    for (int k = 0; k < 4; ++k) {
      max = fmaxf(max, x[q][k]);
      finite = finite && (is_finite(x[q][k]) || place_of(q) + k >= n_left);
    }
  }
  max = warp_max(max);
  finite = __all_sync(kAllLanes, finite) != 0;
  if (lane_id() == 0) {
    s.maxima[warp] = max;
    s.finite[warp] = finite;
  }
  __syncthreads();
  for (int i = 0; i < kWarps; ++i) {
    max = fmaxf(max, s.maxima[i]);
    finite = finite && s.finite[i] != 0;
  }
  return {max, finite};
}

// Leaves the warps' sums in shared memory.
__device__ void sum_exp(const Values& x, float max) {
  float sum = 0;
  GATTLING_UNROLL
  for (int q = 0; q < kQuads; ++q) {
    GATTLING_UNROLL
    for (int k = 0; k < 4; ++k) sum += expf(x[q][k] - max);
  }
  const double total = warp_total(static_cast<double>(sum));
  if (lane_id() == 0) shared<Layout>().sums[threadIdx.x / kWarp] = total;
}

// Past the row -infinity is worse than every token's, for its id is higher.
__device__ void find_best(const Values& x, int first) {
  uint64_t best = 0;
  GATTLING_UNROLL
  for (int q = 0; q < kQuads; ++q) {
    GATTLING_UNROLL
    for (int k = 0; k < 4; ++k) {
      const uint64_t key = order_key(x[q][k], first + place_of(q) + k);
      if (key > best) best = key;
    }
  }
  best = warp_max(best);
  if (lane_id() == 0) shared<Layout>().best[threadIdx.x / kWarp] = best;
}

__global__ void __launch_bounds__(kThreads) survey_kernel(SampleBatch b) {
  const int row = static_cast<int>(blockIdx.y), first = static_cast<int>(blockIdx.x) * kSampleChunk;
  const SampleTask& task = b.tasks[row];
  const SlotSampling& slot = b.slots[task.slot];
  const LogitRow raw = raw_row(b, row);
  Values x;
  GATTLING_UNROLL
  for (int q = 0; q < kQuads; ++q) load_quad(raw, first + place_of(q), x[q]);
  const Peak peak = peak_of(x, b.vocab_size - first);
  if (task.wants_sum) sum_exp(x, peak.max);
  if (adjusts(b, task, slot)) {
    penalise(b, task.slot, slot, first, x);
    __syncthreads();
    apply_lists(task, slot, first);
    write_adjusted(b, row, mask_of(b, task), first, x);
  }
  find_best(x, first);
  __syncthreads();
  if (threadIdx.x > 0) return;
  const Layout& s = shared<Layout>();
  ChunkSurvey survey = {0, 0, peak.max, peak.finite};
  for (int i = 0; i < kWarps; ++i) {
    if (task.wants_sum) survey.sum += s.sums[i];
    if (s.best[i] > survey.best) survey.best = s.best[i];
  }
  b.surveys[row * b.n_chunks + static_cast<int>(blockIdx.x)] = survey;
}

}  // namespace

void sample_survey(const SampleBatch& batch, Stream& stream) {
  const Dim grid(static_cast<unsigned>(batch.n_chunks), static_cast<unsigned>(batch.n_rows));
  launch(survey_kernel, grid, Dim(kThreads), sizeof(Layout), stream, batch);
}

}  // namespace gattling::cuda
