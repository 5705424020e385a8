#include "cpu/sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "backend/half.h"

namespace gattling::cpu {
namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();
// Of gumbel(): its uniform is at least 2^-25 and at most 1 - 2^-25.
constexpr float kMaxGumbel = 17.4f;

// Larger for what sorts first: the greater value, then the lower id. -0 equals 0.
uint64_t order_key(float value, int32_t id) {
  const uint32_t bits = bits_of(value + 0.0f);
  const uint32_t ordered = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return uint64_t{ordered} << 32 | ~static_cast<uint32_t>(id);
}

int32_t id_of(uint64_t key) {
  return static_cast<int32_t>(~static_cast<uint32_t>(key));
}

float value_of(uint64_t key) {
  const uint32_t ordered = static_cast<uint32_t>(key >> 32);
  return float_of(ordered & 0x80000000u ? ordered & 0x7fffffffu : ~ordered);
}

void forbid(std::span<float> logits, std::span<const uint32_t> mask) {
  for (size_t word = 0; word * 32 < logits.size(); ++word) {
    if (mask[word] == ~uint32_t{0}) continue;
    const size_t end = std::min(logits.size(), word * 32 + 32);
    for (size_t i = word * 32; i < end; ++i)
      if (!(mask[word] >> (i % 32) & 1u)) logits[i] = kNone;
  }
}

// Keeps what overflowed comparable.
float bounded(float logit) {
  constexpr float kMost = std::numeric_limits<float>::max();
  return std::clamp(logit, -kMost, kMost);
}

// The least word of philox() that can give a gumbel of at least g, with a margin for rounding.
uint32_t least_random(float g) {
  const double uniform = std::exp(-std::exp(-static_cast<double>(g) + 1e-4));
  return static_cast<uint32_t>(std::clamp(uniform * 0x1p32 - 1024, 0.0, 4294966272.0));
}

}  // namespace

void SlotSampling::init(const SlotInit& init) {
  sampling_ = *init.sampling;
  n_prompt_ = init.n_prompt;
  penalises_ = sampling_.presence_penalty != 0 || sampling_.frequency_penalty != 0 || sampling_.repetition_penalty != 1;
  seen_.clear();
  index_.clear();
  for (size_t i = 0; i < init.tokens.size(); ++i) see(init.tokens[i], static_cast<int>(i) >= n_prompt_);
}

void SlotSampling::see(int32_t token, bool generated) {
  if (!penalises_) return;
  const auto [at, is_new] = index_.try_emplace(token, seen_.size());
  if (is_new) seen_.push_back({token, 0});
  seen_[at->second].n_generated += generated;
}

bool SlotSampling::adjusts(int position) const {
  return penalises_ || !sampling_.bias.empty() || bans_stops(position);
}

void SlotSampling::adjust(std::span<float> logits, int position) const {
  // Repetition over prompt and output as in CTRL (Keskar et al. 2019, section 4.1), then OpenAI's two over the output.
  for (const Seen& seen : seen_) {
    float& logit = logits[static_cast<size_t>(seen.token)];
    logit = logit > 0 ? logit / sampling_.repetition_penalty : logit * sampling_.repetition_penalty;
    if (seen.n_generated > 0)
      logit -= sampling_.presence_penalty + sampling_.frequency_penalty * static_cast<float>(seen.n_generated);
    logit = bounded(logit);
  }
  for (const auto& [token, bias] : sampling_.bias) {
    float& logit = logits[static_cast<size_t>(token)];
    logit = bounded(logit + bias);
  }
  if (bans_stops(position))
    for (int32_t token : sampling_.stop_ids) logits[static_cast<size_t>(token)] = kNone;
}

RowSampler::RowSampler(const Kernels& kernels, int vocab_size) : kernels_(&kernels) {
  const size_t size = static_cast<size_t>(vocab_size);
  z_.resize(size);
  ids_.resize(size);
  block_max_.resize((size + kVocabBlock - 1) / kVocabBlock);
}

void RowSampler::answer(const RowTask& task, RowAnswer& answer) {
  answer.scored = {task.slice, task.target, RowStatus::Ok, 0, 0, 0};
  answer.sampled = {task.slice, 0, RowStatus::Ok, 0, 0, 0};
  answer.top_ids.clear();
  answer.top_logprobs.clear();
  const int n = static_cast<int>(task.logits.size());
  const Peak peak = kernels_->peak(task.logits.data(), n);
  if (!peak.finite) {
    answer.scored.status = answer.sampled.status = RowStatus::NotFinite;
    return;
  }
  if (task.sample) answer.sampled.status = draw(task, peak.max, answer.sampled.token);
  const bool wants_logprob = task.sample && task.top >= 0 && answer.sampled.status == RowStatus::Ok;
  if (!task.score && !wants_logprob) return;

  const double log_sum = peak.max + std::log(kernels_->sum_exp(task.logits.data(), n, peak.max));
  const auto logprob = [&](int32_t token) {
    return static_cast<float>(task.logits[static_cast<size_t>(token)] - log_sum);
  };
  const int n_sampled = wants_logprob ? std::min(task.top, n) : 0;
  const int n_scored = task.score ? std::min(std::max(task.score_top, 0), n) : 0;
  report_top(task.logits, std::max(n_sampled, n_scored), log_sum, answer);
  if (wants_logprob) answer.sampled.logprob = logprob(answer.sampled.token);
  if (task.score) answer.scored.logprob = logprob(task.target);
  answer.sampled.n_top = n_sampled;
  answer.scored.n_top = n_scored;
}

void RowSampler::report_top(std::span<const float> logits, int n_top, double log_sum, RowAnswer& answer) {
  if (n_top == 0) return;
  gather_best(logits, static_cast<size_t>(n_top));
  std::sort(keys_.begin(), keys_.end(), std::greater<>());
  for (uint64_t key : keys_) {
    answer.top_ids.push_back(id_of(key));
    answer.top_logprobs.push_back(static_cast<float>(value_of(key) - log_sum));
  }
}

// Candidates of at least `least` into keys_.
void RowSampler::gather(std::span<const float> z, float least) {
  const int count = kernels_->select(z.data(), static_cast<int>(z.size()), least, ids_.data());
  keys_.clear();
  for (int i = 0; i < count; ++i) {
    const int32_t id = ids_[static_cast<size_t>(i)];
    keys_.push_back(order_key(z[static_cast<size_t>(id)], id));
  }
}

// The lowest id of the maximum.
int32_t RowSampler::first_of(std::span<const float> z, float max) {
  kernels_->select(z.data(), static_cast<int>(z.size()), max, ids_.data());
  return ids_[0];
}

// The n best into keys_, unsorted but for the worst of them, which is last. The n-th best block maximum bounds the n-th
// best value from below, so few candidates are left to choose from.
void RowSampler::gather_best(std::span<const float> z, size_t n) {
  float least = kNone;
  if (n <= block_max_.size()) {
    kernels_->block_max(z.data(), static_cast<int>(z.size()), block_max_.data());
    block_rank_ = block_max_;
    const auto nth = block_rank_.begin() + static_cast<ptrdiff_t>(n - 1);
    std::nth_element(block_rank_.begin(), nth, block_rank_.end(), std::greater<>());
    least = *nth;
  }
  gather(z, least);
  const auto nth = keys_.begin() + static_cast<ptrdiff_t>(n - 1);
  std::nth_element(keys_.begin(), nth, keys_.end(), std::greater<>());
  keys_.resize(n);
}

RowStatus RowSampler::draw(const RowTask& task, float max, int32_t& token) {
  if (task.mask_missing) return RowStatus::NotSampled;
  const Sampling& sampling = task.slot->sampling();
  std::span<const float> logits = task.logits;
  const int n = static_cast<int>(logits.size());
  if (!task.mask.empty() || task.slot->adjusts(task.position)) {
    std::copy(logits.begin(), logits.end(), z_.begin());
    task.slot->adjust(z_, task.position);
    if (!task.mask.empty()) forbid(z_, task.mask);
    logits = z_;
    max = kernels_->peak(z_.data(), n).max;
    if (max == kNone) return RowStatus::NoToken;
  }
  if (sampling.temperature == 0) {
    token = first_of(logits, max);
    return RowStatus::Ok;
  }
  kernels_->temper(logits.data(), n, max, sampling.temperature, z_.data());
  token = draw_tempered(task, sampling);
  return RowStatus::Ok;
}

// Gumbel-max over the tempered logits in z_ (the greatest is 0) that the filters keep. A block is skipped, and a word
// of random bits turned down, where even its best could not win.
int32_t RowSampler::draw_tempered(const RowTask& task, const Sampling& sampling) {
  const uint64_t cut = cut_of(z_, sampling);
  const int n = static_cast<int>(z_.size());
  const uint32_t position = static_cast<uint32_t>(task.position);
  float best = kNone;
  int32_t best_id = -1;
  const auto offer = [&](int32_t id) {
    const float value = z_[static_cast<size_t>(id)];
    if (value == kNone || order_key(value, id) < cut) return;
    const float score = value + gumbel(sampling.seed, position, static_cast<uint32_t>(id));
    if (best_id < 0 || score > best || (score == best && id < best_id)) {
      best = score;
      best_id = id;
    }
  };
  offer(first_of(z_, 0));
  kernels_->block_max(z_.data(), n, block_max_.data());
  const float least = value_of(cut);
  for (int first = 0; first < n; first += kVocabBlock) {
    const float block = block_max_[static_cast<size_t>(first / kVocabBlock)];
    if (block < least || block + kMaxGumbel < best) continue;
    uint32_t words[kVocabBlock];
    kernels_->random(sampling.seed, position, static_cast<uint32_t>(first), words);
    const uint32_t least_word = least_random(best - block);
    const int count = std::min(kVocabBlock, n - first);
    for (int i = 0; i < count; ++i)
      if (words[i] >= least_word) offer(first + i);
  }
  return best_id;
}

// The key of the worst token that top_k, then top_p, then min_p keep; 0 when all are kept.
uint64_t RowSampler::cut_of(std::span<const float> z, const Sampling& sampling) {
  uint64_t cut = 0;
  if (sampling.top_k > 0 && static_cast<size_t>(sampling.top_k) < z.size()) {
    gather_best(z, static_cast<size_t>(sampling.top_k));
    cut = keys_.back();
  }
  if (sampling.top_p < 1) cut = cut_top_p(z, sampling.top_p, cut);
  if (sampling.min_p > 0) {
    // Every id at the bound is kept, hence the key of the greatest one.
    const float bound = std::min(0.0f, static_cast<float>(std::log(static_cast<double>(sampling.min_p))));
    cut = std::max(cut, order_key(bound, std::numeric_limits<int32_t>::max()));
  }
  return cut;
}

// The smallest set of the best tokens whose probability reaches top_p, among those with a key of at least `least`,
// which are in keys_ already when there is such a bound. Halving by nth_element takes linear time.
uint64_t RowSampler::cut_top_p(std::span<const float> z, float top_p, uint64_t least) {
  double total = 0;
  const auto mass = [&](size_t begin, size_t end) {
    double sum = 0;
    for (size_t i = begin; i < end; ++i) sum += std::exp(static_cast<double>(value_of(keys_[i])));
    return sum;
  };
  if (least > 0) {
    total = mass(0, keys_.size());
  } else {
    total = kernels_->sum_exp(z.data(), static_cast<int>(z.size()), 0);
    // Tokens below this weigh less than 1 - top_p together, so the set ends above them.
    const double tail = (1 - static_cast<double>(top_p)) * total / static_cast<double>(z.size());
    gather(z, static_cast<float>(std::log(tail) - 1e-3));
  }
  const double wanted = top_p * total;
  size_t begin = 0, end = keys_.size();
  double above = 0;  // the mass of [0, begin), all of it better than the rest
  while (end - begin > 1) {
    const size_t middle = begin + (end - begin) / 2;
    const auto at = [&](size_t i) { return keys_.begin() + static_cast<ptrdiff_t>(i); };
    std::nth_element(at(begin), at(middle), at(end), std::greater<>());
    const double upper = mass(begin, middle);
    if (above + upper >= wanted) {
      end = middle;
    } else {
      above += upper;
      begin = middle;
    }
  }
  return keys_[begin];
}

}  // namespace gattling::cpu
