// A block a chunk of a row: the greatest sum of a tempered logit and a Gumbel variate among the tokens that the filters
// keep (Gumbel-max). Bound by arithmetic, ten rounds of Philox a token: spread over chunks, since a block for a whole
// row would keep one processor busy for tens of microseconds. Source: Salmon et al., SC 2011 (Philox).
#include "cuda/kernels/sample_row.h"

namespace gattling::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kWarp;

struct Layout {
  uint64_t best[kWarps];
};

struct Draw {
  float max;
  uint64_t cut;    // least key that top_k and top_p keep
  float hopeless;  // a tempered logit below this loses to the best token's score whatever its variate
};

__device__ uint64_t best_score(const LogitRow& row, int first, const SampleTask& task, const SlotSampling& slot,
                               const Draw& draw) {
  const uint32_t position = static_cast<uint32_t>(task.position);
  uint64_t best = 0;
  for (int at = static_cast<int>(threadIdx.x) * 4; at < kSampleChunk; at += kThreads * 4) {
    float x[4];
    load_quad(row, first + at, x);
    GATTLING_UNROLL
    for (int k = 0; k < 4; ++k) {
      const int id = first + at + k;
      const float value = temper(x[k], draw.max, slot.temperature);
      if (value == kNone || order_key(value, id) < draw.cut || value < slot.least || value < draw.hopeless) continue;
      const uint64_t key = order_key(value + gumbel(slot.seed, position, static_cast<uint32_t>(id)), id);
      if (key > best) best = key;
    }
  }
  return best;
}

__global__ void __launch_bounds__(kThreads) draw_kernel(SampleBatch b) {
  const int row = static_cast<int>(blockIdx.y), chunk = static_cast<int>(blockIdx.x);
  const SampleTask& task = b.tasks[row];
  const SlotSampling& slot = b.slots[task.slot];
  if (!task.sample || slot.temperature == 0) return;
  const RowSummary summary = summarise(b, row);
  const float max = value_of(summary.best);
  if (!summary.finite || max == kNone) return;
  const float score =
      gumbel(slot.seed, static_cast<uint32_t>(task.position), static_cast<uint32_t>(id_of(summary.best)));
  const Draw draw = {max, filters(slot) ? b.cuts[row] : 0, score - kMaxGumbel};
  uint64_t best = best_score(drawn_row(b, row, task, slot), chunk * kSampleChunk, task, slot, draw);
  Layout& s = shared<Layout>();
  best = warp_max(best);
  if (lane_id() == 0) s.best[threadIdx.x / kWarp] = best;
  __syncthreads();
  if (threadIdx.x > 0) return;
  for (int i = 1; i < kWarps; ++i) best = s.best[i] > best ? s.best[i] : best;
  b.draws[row * b.n_chunks + chunk] = best;
}

}  // namespace

void sample_draw(const SampleBatch& batch, Stream& stream) {
  const Dim grid(static_cast<unsigned>(batch.n_chunks), static_cast<unsigned>(batch.n_rows));
  launch(draw_kernel, grid, Dim(kThreads), sizeof(Layout), stream, batch);
}

}  // namespace gattling::cuda
