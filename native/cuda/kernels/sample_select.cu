// A block a row: radix selection of the token at which the weight of the best ones reaches a bound, on 64-bit keys that
// order tokens without ties, 11 bits at a time until few enough are left to be compared with each other. A weight is 1
// (top_k, best tokens), or a probability in fixed point (top_p): integers, so that no order of additions matters. Bound
// by passes over the row (2 or 3 for each selection) and their atomics in shared memory. Source: the radix selection of
// Alabi et al., "Fast k-selection algorithms for graphics processing units" (2012), here by weights.
#include "cuda/kernels/sample_row.h"

namespace gattling::cuda {
namespace {

constexpr int kMaxThreads = 1024;
constexpr int kFewThreads = 128;
constexpr int kFewTokens = 4096;  // below, more threads than kFewThreads only wait for each other
constexpr int kDigitBits = 11;    // of sign, exponent and two bits of mantissa: bins of a quarter of a binade
constexpr int kBins = 1 << kDigitBits;
constexpr int kListed = 512;     // tokens that are compared with each other
constexpr float kOne = 0x1p40f;  // of a probability: 2^23 tokens still fit 63 bits, and e^-27 is not 0
constexpr int kDigits = 6;
constexpr int kMaxWarps = kMaxThreads / kWarp;

struct Layout {
  uint64_t keys[kListed];
  uint64_t weights[kListed];
  uint64_t totals[kMaxWarps];
  uint64_t cut;
  uint64_t above;  // weight of the tokens in better bins
  int bin;
  int n_listed;
  uint32_t low[kBins];  // weight of a bin, its two halves
  uint32_t high[kBins];
};

// The tokens of a row and what each weighs.
struct Weighed {
  LogitRow row;
  float max;  // values are tempered by these; 0 and 1 leave them as they are
  float temperature;
  bool by_mass;        // else each weighs 1
  uint64_t least;      // worse keys weigh nothing
  uint64_t more_than;  // nor do masses up to this
};

__device__ __forceinline__ uint64_t weight_of(const Weighed& w, float value, uint64_t key) {
  if (key < w.least) return 0;
  if (!w.by_mass) return 1;
  const uint64_t mass = static_cast<uint64_t>(expf(value) * kOne);
  return mass > w.more_than ? mass : 0;
}

// visit(key, weight) for this thread's tokens that weigh something. Past the row up to three more come that are worse
// than every token: -infinity and the highest ids.
template <typename Visit>
__device__ __forceinline__ void each(const Weighed& w, const Visit& visit) {
  for (int i = static_cast<int>(threadIdx.x) * 4; i < w.row.n; i += static_cast<int>(blockDim.x) * 4) {
    float x[4];
    load_quad(w.row, i, x);
    GATTLING_UNROLL
    for (int k = 0; k < 4; ++k) {
      const float value = temper(x[k], w.max, w.temperature);
      const uint64_t key = order_key(value, i + k);
      const uint64_t weight = weight_of(w, value, key);
      if (weight > 0) visit(key, weight);
    }
  }
}

// Lists the tokens whose key has the bits `prefix` under `mask` and is not below `least`; false when they are too many.
// Who counts on n_listed of an earlier list has passed a barrier since.
__device__ bool list(const Weighed& w, uint64_t mask, uint64_t prefix, uint64_t least) {
  Layout& s = shared<Layout>();
  if (threadIdx.x == 0) s.n_listed = 0;
  __syncthreads();
  each(w, [&](uint64_t key, uint64_t weight) {
    if ((key & mask) != prefix || key < least) return;
    const int at = atomicAdd(&s.n_listed, 1);
    if (at >= kListed) return;
    s.keys[at] = key;
    s.weights[at] = weight;
  });
  __syncthreads();
  return s.n_listed <= kListed;
}

__device__ __forceinline__ void add(Layout& s, int bin, uint64_t weight) {
  const uint32_t low = static_cast<uint32_t>(weight);
  const uint32_t old = atomicAdd(&s.low[bin], low);
  const uint32_t carry = old + low < old ? 1 : 0;
  const uint32_t high = static_cast<uint32_t>(weight >> 32) + carry;
  if (high > 0) atomicAdd(&s.high[bin], high);
}

__device__ __forceinline__ uint64_t weight_of_bin(const Layout& s, int bin) {
  return uint64_t{s.high[bin]} << 32 | s.low[bin];
}

// The bin, from the best down, in which the weight reaches `wanted`, into the layout. A thread sums consecutive bins.
__device__ void find_bin(uint64_t wanted) {
  Layout& s = shared<Layout>();
  const int thread = static_cast<int>(threadIdx.x), warp = thread / kWarp, lane = lane_id();
  const int n_bins = kBins / static_cast<int>(blockDim.x), best_bin = kBins - 1 - thread * n_bins;
  uint64_t mine = 0;
  for (int i = 0; i < n_bins; ++i) mine += weight_of_bin(s, best_bin - i);
  uint64_t sum = mine;  // of this warp's threads up to this
  for (int delta = 1; delta < kWarp; delta *= 2) {
    const uint64_t other = __shfl_up_sync(kAllLanes, sum, delta);
    if (lane >= delta) sum += other;
  }
  if (lane == kWarp - 1) s.totals[warp] = sum;
  __syncthreads();
  for (int i = 0; i < warp; ++i) sum += s.totals[i];
  uint64_t above = sum - mine;
  if (above < wanted && wanted <= sum) {
    int bin = best_bin;
    for (; above + weight_of_bin(s, bin) < wanted; --bin) above += weight_of_bin(s, bin);
    s.bin = bin;
    s.above = above;
  }
  __syncthreads();
}

// Weights by the digit of `bits` bits from bit `shift` up, of the tokens with the prefix; then finds the bin.
__device__ void refine(const Weighed& w, uint64_t mask, uint64_t prefix, int shift, uint32_t digit_mask,
                       uint64_t wanted) {
  Layout& s = shared<Layout>();
  for (int i = static_cast<int>(threadIdx.x); i < kBins; i += static_cast<int>(blockDim.x)) s.low[i] = s.high[i] = 0;
  __syncthreads();
  each(w, [&](uint64_t key, uint64_t weight) {
    if ((key & mask) == prefix) add(s, static_cast<int>(static_cast<uint32_t>(key >> shift) & digit_mask), weight);
  });
  __syncthreads();
  find_bin(wanted);
}

// The listed key at which the weight of those not worse reaches `wanted`.
__device__ uint64_t cut_of_list(uint64_t wanted) {
  Layout& s = shared<Layout>();
  for (int j = static_cast<int>(threadIdx.x); j < s.n_listed; j += static_cast<int>(blockDim.x)) {
    uint64_t above = 0;
    for (int i = 0; i < s.n_listed; ++i)
      if (s.keys[i] > s.keys[j]) above += s.weights[i];
    if (above < wanted && wanted <= above + s.weights[j]) s.cut = s.keys[j];
  }
  __syncthreads();
  return s.cut;
}

// The key at which the weight of the tokens not worse reaches `wanted`, which is at least 1 and at most all they weigh.
__device__ uint64_t cut_of(const Weighed& w, uint64_t wanted) {
  Layout& s = shared<Layout>();
  uint64_t mask = 0, prefix = 0;
  int shift = 64;
  const bool may_fit = w.by_mass || w.row.n <= kListed;
  for (int digit = 0; digit < kDigits; ++digit) {
    if ((digit > 0 || may_fit) && list(w, mask, prefix, 0)) break;
    const int bits = digit % 3 == 2 ? kDigitBits - 1 : kDigitBits;
    shift -= bits;
    const uint32_t digit_mask = (1u << bits) - 1;
    refine(w, mask, prefix, shift, digit_mask, wanted);
    wanted -= s.above;
    mask |= uint64_t{digit_mask} << shift;
    prefix |= static_cast<uint64_t>(s.bin) << shift;
  }
  if (shift == 0) list(w, mask, prefix, 0);  // equal keys: one token
  return cut_of_list(wanted);
}

__device__ uint64_t total_weight(const Weighed& w) {
  Layout& s = shared<Layout>();
  uint64_t sum = 0;
  each(w, [&](uint64_t, uint64_t weight) { sum += weight; });
  sum = warp_total(sum);
  if (lane_id() == 0) s.totals[threadIdx.x / kWarp] = sum;
  __syncthreads();
  uint64_t total = 0;
  for (int i = 0; i < static_cast<int>(blockDim.x) / kWarp; ++i) total += s.totals[i];
  return total;
}

// The best tokens and their logits, best first; finish_kernel makes log-probabilities of these.
__device__ void report_top(const SampleBatch& b, int row, const SampleTask& task) {
  const Layout& s = shared<Layout>();
  const Weighed all = {raw_row(b, row), 0, 1, false, 0, 0};
  const uint64_t cut = cut_of(all, static_cast<uint64_t>(task.n_top));
  list(all, 0, 0, cut);
  SampleTops& tops = b.tops[task.top_row];
  const int j = static_cast<int>(threadIdx.x);
  if (j >= task.n_top) return;
  int rank = 0;
  for (int i = 0; i < task.n_top; ++i) rank += s.keys[i] > s.keys[j];
  tops.ids[rank] = id_of(s.keys[j]);
  tops.logprobs[rank] = value_of(s.keys[j]);
}

// The key of the worst token that top_k, then top_p keep.
__device__ uint64_t filter(const SampleBatch& b, int row, const SampleTask& task, const SlotSampling& slot, float max) {
  Weighed w = {drawn_row(b, row, task, slot), max, slot.temperature, false, 0, 0};
  uint64_t cut = 0;
  if (slot.top_k > 0) cut = cut_of(w, static_cast<uint64_t>(slot.top_k));
  if (slot.top_p >= 1) return cut;
  w.by_mass = true;
  w.least = cut;
  const double total = static_cast<double>(total_weight(w)), top_p = static_cast<double>(slot.top_p);
  // Tokens up to this weigh less than 1 - top_p together, so that the cut lies above them.
  w.more_than = static_cast<uint64_t>((1 - top_p) * total / w.row.n * 0.999);
  const uint64_t wanted = static_cast<uint64_t>(ceil(top_p * total));
  return cut_of(w, wanted > 0 ? wanted : 1);
}

__global__ void __launch_bounds__(kMaxThreads) select_kernel(SampleBatch b) {
  const int row = static_cast<int>(blockIdx.x);
  const SampleTask& task = b.tasks[row];
  const RowSummary summary = summarise(b, row);
  if (!summary.finite) return;
  if (task.n_top > 0) report_top(b, row, task);
  if (!task.sample) return;
  const SlotSampling& slot = b.slots[task.slot];
  const float max = value_of(summary.best);
  if (!filters(slot) || max == kNone) return;
  const uint64_t cut = filter(b, row, task, slot, max);
  if (threadIdx.x == 0) b.cuts[row] = cut;
}

}  // namespace

void sample_select(const SampleBatch& batch, Stream& stream) {
  const int n_threads = batch.vocab_size <= kFewTokens ? kFewThreads : kMaxThreads;
  launch(select_kernel, Dim(static_cast<unsigned>(batch.n_rows)), Dim(static_cast<unsigned>(n_threads)), sizeof(Layout),
         stream, batch);
}

}  // namespace gattling::cuda
