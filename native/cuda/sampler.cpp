#include "cuda/sampler.h"

#include <algorithm>
#include <cstring>

#include "backend/error.h"

namespace gattling::cuda {
namespace {

static_assert(kSampleTop == kMaxTop);
static_assert(static_cast<int>(SampleStatus::NotFinite) == static_cast<int>(RowStatus::NotFinite) &&
              static_cast<int>(SampleStatus::NotSampled) == static_cast<int>(RowStatus::NotSampled) &&
              static_cast<int>(SampleStatus::NoToken) == static_cast<int>(RowStatus::NoToken));
static_assert(sizeof(SampleTask) % 8 == 0);

constexpr size_t kLeastUpload = size_t{64} << 10;
constexpr size_t kLeastBuffer = size_t{4} << 10;  // 512 entries of logit_bias

int64_t round_up(int64_t n, int64_t to) {
  return (n + to - 1) / to * to;
}

}  // namespace

Sampler::Sampler(const StateShape& shape, int tile_rows, Stream& stream)
    : shape_(shape),
      tile_rows_(tile_rows),
      stream_(stream),
      row_size_(round_up(shape.vocab_size, 64)),
      mask_size_(round_up((int64_t{shape.vocab_size} + 31) / 32 + 1, 4)),
      n_chunks_(static_cast<int>(round_up(shape.vocab_size, kSampleChunk) / kSampleChunk)),
      slots_(static_cast<size_t>(shape.n_slots)),
      sampling_(slots_.size() * sizeof(SlotSampling)),
      last_tokens_(slots_.size() * sizeof(int32_t)) {
  const size_t rows = static_cast<size_t>(shape.max_rows), tile = static_cast<size_t>(tile_rows);
  const size_t chunks = tile * static_cast<size_t>(n_chunks_);
  outputs_ = Buffer(rows * (sizeof(SampleTask) + sizeof(int32_t)));
  surveys_ = Buffer(chunks * sizeof(ChunkSurvey));
  draws_ = Buffer(chunks * sizeof(uint64_t));
  cuts_ = Buffer(tile * sizeof(uint64_t));
  answers_ = Buffer(rows * sizeof(SampleAnswer));
  tops_ = Buffer(rows * sizeof(SampleTops));
  setups_ = Buffer(kLeastUpload);
  for (Staging& staging : staging_) {
    staging.setups = HostBuffer(kLeastUpload);
    staging.outputs = HostBuffer(outputs_.bytes());
  }
  for (Pending& pending : pending_) {
    pending.answers = HostBuffer(answers_.bytes());
    pending.tops = HostBuffer(tops_.bytes());
  }
  stream_.fill(sampling_.as<void>(), 0, sampling_.bytes());
  stream_.fill(last_tokens_.as<void>(), 0, last_tokens_.bytes());
}

// At least so large; what it held is lost.
void Sampler::grow(Buffer& buffer, size_t bytes) {
  if (buffer.bytes() >= bytes) return;
  Buffer larger(std::max({bytes, 2 * buffer.bytes(), kLeastBuffer}));
  std::swap(buffer, larger);
  if (larger.bytes() > 0) retired_.push_back(std::move(larger));
}

void Sampler::need_adjusted() {
  grow(adjusted_, static_cast<size_t>(tile_rows_) * static_cast<size_t>(row_size_) * sizeof(float));
}

void Sampler::begin(const Step& step) {
  ++step_;
  staging().copied.wait();
  collect_outputs(step);
  set_up_slots(step);
  upload_outputs();
  staging().copied.record(stream_);
}

void Sampler::collect_outputs(const Step& step) {
  Pending& pending = this->pending();
  pending.outputs.clear();
  pending.n_tops = pending.n_done = 0;
  size_t n_targets = 0;
  int first_row = 0;
  for (size_t i = 0; i < step.slices.size(); ++i) {
    const Slice& slice = step.slices[i];
    check(slice.top <= kMaxTop && slice.score_top <= kMaxTop, "A slice wants ", std::max(slice.top, slice.score_top),
          " best tokens of a row; at most ", kMaxTop, " are reported.");
    for (int r = 0; r < slice.count; ++r) {
      const bool score = r < slice.n_score, sample = slice.sample && r == slice.count - 1;
      if (score || sample)
        add_output(slice, static_cast<int>(i), first_row + r, sample, score ? step.targets[n_targets++] : -1);
    }
    first_row += slice.count;
  }
}

void Sampler::add_output(const Slice& slice, int index, int row, bool sample, int target) {
  Output output = {index, row, 0, -1, {}};
  if (target >= 0) output.score_top = std::clamp(slice.score_top, 0, shape_.vocab_size);
  if (sample) output.top = std::min(slice.top, shape_.vocab_size);
  SampleTask& task = output.task;
  task.slot = slice.slot;
  task.position = slice.start + slice.count;
  task.target = target;
  task.sample = sample;
  task.wants_sum = target >= 0 || output.top >= 0;
  task.n_top = std::max({output.score_top, output.top, 0});
  task.top_row = task.n_top > 0 ? pending().n_tops++ : -1;
  task.mask_stamp = slice.constrained ? static_cast<uint32_t>(step_) : 0;
  pending().outputs.push_back(output);
}

void Sampler::upload_outputs() {
  const size_t n = outputs().size();
  output_rows_ = reinterpret_cast<const int32_t*>(outputs_.as<SampleTask>() + n);
  if (n == 0) return;
  auto* tasks = staging().outputs.as<SampleTask>();
  auto* rows = reinterpret_cast<int32_t*>(tasks + n);
  for (size_t i = 0; i < n; ++i) {
    tasks[i] = outputs()[i].task;
    rows[i] = outputs()[i].row;
  }
  stream_.copy_to_device(outputs_.as<void>(), tasks, n * (sizeof(SampleTask) + sizeof(int32_t)));
}

void Sampler::set_mask(int slot, std::span<const uint32_t> bits) {
  const size_t row = static_cast<size_t>(mask_size_), bytes = row * sizeof(uint32_t);
  HostBuffer& host = staging().masks;
  need_adjusted();
  if (host.bytes() == 0) host = HostBuffer(slots_.size() * bytes);
  if (masks_.bytes() == 0) {
    masks_ = Buffer(slots_.size() * bytes);
    stream_.fill(masks_.as<void>(), 0, masks_.bytes());
  }
  uint32_t* words = host.as<uint32_t>() + static_cast<size_t>(slot) * row;
  std::copy(bits.begin(), bits.end(), words);
  std::fill(words + bits.size(), words + row - 1, 0);
  words[row - 1] = static_cast<uint32_t>(step_);
  stream_.copy_to_device(masks_.as<uint32_t>() + static_cast<size_t>(slot) * row, words, bytes);
  staging().copied.record(stream_);
}

void Sampler::sample(const float* logits, int64_t stride, int first, int count) {
  Pending& pending = this->pending();
  check(first == pending.n_done && count >= 0 && count <= tile_rows_ && first + count <= n_outputs(), "Outputs ", first,
        " to ", first + count, " are not the next of the ", n_outputs(), " of the step, at most ", tile_rows_,
        " at once.");
  if (count == 0) return;
  bool select = false, random = false;
  for (int i = first; i < first + count; ++i) {
    const SampleTask& task = pending.outputs[static_cast<size_t>(i)].task;
    const Slot& slot = slots_[static_cast<size_t>(task.slot)];
    select |= task.n_top > 0 || (task.sample && slot.filters);
    random |= task.sample && slot.random;
  }
  SampleBatch batch = {};
  batch.logits = logits;
  batch.stride = stride;
  batch.aligned = reinterpret_cast<uintptr_t>(logits) % 16 == 0 && stride % 4 == 0;
  batch.vocab_size = shape_.vocab_size;
  batch.n_rows = count;
  batch.n_chunks = n_chunks_;
  batch.tasks = outputs_.as<SampleTask>() + first;
  batch.slots = sampling_.as<SlotSampling>();
  batch.counts = counts_.as<uint32_t>();
  batch.adjusted = adjusted_.as<float>();
  batch.row_size = row_size_;
  batch.masks = masks_.as<uint32_t>();
  batch.mask_size = mask_size_;
  batch.surveys = surveys_.as<ChunkSurvey>();
  batch.cuts = cuts_.as<uint64_t>();
  batch.draws = draws_.as<uint64_t>();
  batch.answers = answers_.as<SampleAnswer>() + first;
  batch.tops = tops_.as<SampleTops>();
  batch.last_tokens = last_tokens_.as<int32_t>();
  sample_survey(batch, stream_);
  if (select) sample_select(batch, stream_);
  if (random) sample_draw(batch, stream_);
  sample_finish(batch, stream_);
  pending.n_done += count;
}

Ticket Sampler::end() {
  Pending& pending = this->pending();
  const size_t n = static_cast<size_t>(pending.n_done), n_tops = static_cast<size_t>(pending.n_tops);
  if (n > 0) stream_.copy_to_host(pending.answers.as<void>(), answers_.as<void>(), n * sizeof(SampleAnswer));
  if (n > 0 && n_tops > 0) stream_.copy_to_host(pending.tops.as<void>(), tops_.as<void>(), n_tops * sizeof(SampleTops));
  return step_;
}

void Sampler::read(Ticket ticket, StepResult& result) const {
  const Pending& pending = pending_[ticket % pending_.size()];
  result.scored.clear();
  result.sampled.clear();
  result.top_ids.clear();
  result.top_logprobs.clear();
  for (size_t i = 0; i < static_cast<size_t>(pending.n_done); ++i) {
    const Output& output = pending.outputs[i];
    const SampleAnswer& answer = pending.answers.as<SampleAnswer>()[i];
    const auto status = static_cast<RowStatus>(answer.status);
    const bool finite = status != RowStatus::NotFinite, drawn = output.task.sample && status == RowStatus::Ok;
    const int n_scored = finite ? output.score_top : 0, n_sampled = drawn ? std::max(output.top, 0) : 0;
    const int first_top = static_cast<int>(result.top_ids.size()), n_top = std::max(n_scored, n_sampled);
    if (n_top > 0) {
      const SampleTops& tops = pending.tops.as<SampleTops>()[output.task.top_row];
      result.top_ids.insert(result.top_ids.end(), tops.ids, tops.ids + n_top);
      result.top_logprobs.insert(result.top_logprobs.end(), tops.logprobs, tops.logprobs + n_top);
    }
    if (output.task.target >= 0) {
      const RowStatus scored = finite ? RowStatus::Ok : RowStatus::NotFinite;
      result.scored.push_back({output.slice, output.task.target, scored, answer.target_logprob, first_top, n_scored});
    }
    if (!output.task.sample) continue;
    const float logprob = drawn && output.top >= 0 ? answer.logprob : 0.0f;
    result.sampled.push_back({output.slice, answer.token, status, logprob, first_top, n_sampled});
  }
}

}  // namespace gattling::cuda
