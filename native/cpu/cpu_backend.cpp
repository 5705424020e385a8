#include "cpu/cpu_backend.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>

#include "backend/check_step.h"
#include "backend/error.h"
#include "backend/quantise.h"
#include "cpu/batch.h"
#include "cpu/input_rows.h"
#include "cpu/kv_cache.h"
#include "cpu/machine.h"
#include "cpu/memory.h"
#include "cpu/pack.h"
#include "cpu/sampler.h"
#include "cpu/thread_pool.h"

namespace gattling {
namespace cpu {
namespace {

float* row_of(const Tensor& tensor, int64_t row) {
  return static_cast<float*>(tensor.data) + row * tensor.cols;
}

const CpuWeight& cpu_weight(const Weight* weight) {
  return static_cast<const CpuWeight&>(*weight);
}

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(const BackendOptions& options)
      : kernels_(find_kernels(options.unit)),
        compute_(options.compute),
        quantization_(options.quantization),
        pool_(options.threads > 0 ? options.threads : physical_cores()) {
    info_ = {"cpu", kernels_.unit, pool_.size(), 0, compute_};
  }

  const BackendInfo& info() const override { return info_; }

  std::unique_ptr<Weight> pack(Use use, std::span<const HostTensor> parts, Shard shard) override {
    return pack_weight(use, QuantisedParts(use, parts, quantization_).parts(), shard, compute_, pool_);
  }
  Tensor allocate(Role role, int64_t rows, int64_t cols) override;
  void allocate_state(const StateShape& shape) override;
  size_t block_bytes(const StateShape& shape) const override { return KvCache::block_bytes(shape); }
  size_t free_memory() const override { return available_memory(); }
  size_t tensor_bytes(Role, int64_t rows, int64_t cols) const override;
  size_t work_bytes(const StateShape& shape, int widest) const override;

  void begin(const Step& step) override;
  void embed(const EmbedParams& p) override;
  void rmsnorm(const RmsNormParams& p) override;
  void linear(const LinearParams& p) override;
  void rope_append(const RopeAppendParams& p) override;
  void attention(const AttentionParams& p) override;
  void swiglu(const SwigluParams& p) override;
  void gather(const GatherParams& p) override;
  void set_mask(int slot, std::span<const uint32_t> bits) override {
    check_mask(slot, bits, shape_);
    slots_.set_mask(slot, bits);
  }
  void sample(const SampleParams& p) override;
  void read_hidden(const Tensor& x) override;
  void all_reduce(const Tensor&, int) override {}  // one rank
  Ticket end() override { return ticket_; }
  const StepResult& collect(Ticket ticket) override { return results_[ticket % results_.size()]; }

 private:
  struct AttendItem {
    int slice;
    int head;
    int first;  // row of the slice
    int count;
  };

  StepResult& result() { return results_[ticket_ % results_.size()]; }
  bool takes_halves(const Section& section) const {
    return kernels_.linear_halves != nullptr && compute_ == DType::BF16 && section.dtype == DType::BF16;
  }
  // Tiles [begin, end) of a section.
  void linear_tiles(const LinearParams& p, const Section& section, const InputRows& input, int64_t begin,
                    int64_t end) const;
  void rotate_row(const RopeAppendParams& p, int row, float* rotated) const;
  void attend_item(const AttentionParams& p, const AttendItem& item, float* scratch) const;
  void check_outputs(int first, int count) const;
  RowTask task_of(const Output& output, const float* logits) const;
  void report(const Output& output, const RowAnswer& answer);

  const Kernels& kernels_;
  const DType compute_;
  const Quantization quantization_;
  BackendInfo info_;
  ThreadPool pool_;
  std::vector<Memory> tensors_;

  StateShape shape_{};
  KvCache cache_;
  Slots slots_;
  Batch batch_;
  std::vector<InputRows> input_rows_;  // [sections], of the linear op at work
  std::vector<AttendItem> attend_items_;
  std::vector<std::vector<float>> scratch_;  // [workers]
  std::vector<RowSampler> samplers_;         // [workers]
  std::vector<RowAnswer> answers_;
  Ticket ticket_ = 0;
  // A result lives until the collect after the next, while up to two later steps have begun.
  std::array<StepResult, 4> results_;
};

size_t CpuBackend::tensor_bytes(Role, int64_t rows, int64_t cols) const {
  return static_cast<size_t>(rows * cols) * sizeof(float);
}

// The inputs of a matmul in the weights' terms (InputRows), and a row of logits for each thread.
size_t CpuBackend::work_bytes(const StateShape& shape, int widest) const {
  return static_cast<size_t>(shape.max_rows) * static_cast<size_t>(widest) * sizeof(float) +
         static_cast<size_t>(pool_.size()) * static_cast<size_t>(shape.vocab_size) * 2 * sizeof(float);
}

Tensor CpuBackend::allocate(Role role, int64_t rows, int64_t cols) {
  tensors_.emplace_back(tensor_bytes(role, rows, cols));
  return {tensors_.back().data(), rows, cols, DType::F32};
}

void CpuBackend::allocate_state(const StateShape& shape) {
  check_state(shape);
  shape_ = shape;
  cache_ = KvCache(shape);
  slots_ = Slots(shape);
  const int queries = std::max(kAttendQueries, shape.n_heads / shape.n_kv_heads);
  const int64_t scratch = std::max<int64_t>(attend_scratch(queries, shape.head_dim), shape.head_dim);
  scratch_.assign(static_cast<size_t>(pool_.size()), std::vector<float>(static_cast<size_t>(scratch)));
  samplers_.assign(static_cast<size_t>(pool_.size()), RowSampler(kernels_, shape.vocab_size));
}

void CpuBackend::begin(const Step& step) {
  check_step(step, shape_);
  slots_.clear_masks();
  for (const SlotInit& init : step.inits) slots_.init(init);
  for (const BlockAppend& append : step.blocks) slots_.append(append);
  batch_.load(step, shape_, slots_);
  ++ticket_;
  result().clear();

  attend_items_.clear();
  const int rows = std::max(1, kAttendQueries * shape_.n_kv_heads / shape_.n_heads);
  for (size_t i = 0; i < batch_.slices.size(); ++i)
    for (int head = 0; head < shape_.n_kv_heads; ++head)
      for (int first = 0; first < batch_.slices[i].count; first += rows)
        attend_items_.push_back({static_cast<int>(i), head, first, std::min(rows, batch_.slices[i].count - first)});
}

void CpuBackend::embed(const EmbedParams& p) {
  const CpuWeight& table = cpu_weight(p.table);
  assert(table.k == p.out.cols && table.n >= shape_.vocab_size);
  pool_.parallel(std::min(p.rows, batch_.n_rows()), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row)
      read_row(table, batch_.tokens[static_cast<size_t>(row)], row_of(p.out, row));
  });
}

void CpuBackend::rmsnorm(const RmsNormParams& p) {
  const CpuWeight& weight = cpu_weight(p.scale);
  assert(weight.k == p.out.cols && p.residual.cols == p.out.cols);
  const auto* scale = reinterpret_cast<const float*>(weight.sections[0].data.data());
  pool_.parallel(p.rows, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row)
      kernels_.rmsnorm(row_of(p.residual, row), p.delta ? row_of(*p.delta, row) : nullptr, scale, p.eps,
                       row_of(p.out, row), p.out.cols);
  });
}

void CpuBackend::linear_tiles(const LinearParams& p, const Section& section, const InputRows& input, int64_t begin,
                              int64_t end) const {
  const CpuWeight& weight = cpu_weight(p.weight);
  const float* bias = weight.bias.empty() ? nullptr : weight.bias.data() + section.first;
  float* out = row_of(p.out, 0) + section.first;
  if (section.layout == Section::Layout::Ints) {
    const IntForm& form = section.ints;
    const IntLinearTask task = {.x = input.data(),
                                .blocks = input.blocks(),
                                .out = out,
                                .tiles = section.data.data(),
                                .bias = bias,
                                .n = section.n,
                                .depth = section.depth(),
                                .out_stride = p.out.cols,
                                .tile_bytes = form.tile_bytes,
                                .scales_at = form.scales_at,
                                .offsets_at = form.has_offsets ? form.offsets_at : -1,
                                .group = form.group,
                                .step = form.step(),
                                .bits = form.bits,
                                .scale_type = form.scale_type,
                                .offset_type = form.offset_type};
    kernels_.linear_ints(task, begin, end, 0, p.rows);
    return;
  }
  const LinearTask task = {.x = row_of(p.x, 0),
                           .out = out,
                           .tiles = section.data.data(),
                           .bias = bias,
                           .n = section.n,
                           .k = section.k,
                           .out_stride = p.out.cols,
                           .tile_size = section.tile_size(),
                           .dtype = section.dtype,
                           .halves = static_cast<const bf16*>(input.data())};
  (takes_halves(section) ? kernels_.linear_halves : kernels_.linear)(task, begin, end, 0, p.rows);
}

void CpuBackend::linear(const LinearParams& p) {
  const CpuWeight& weight = cpu_weight(p.weight);
  assert(weight.k == p.x.cols && weight.n == p.out.cols);
  const std::vector<Section>& sections = weight.sections;
  if (input_rows_.size() < sections.size()) input_rows_.resize(sections.size());
  int64_t n_tiles = 0;
  for (size_t i = 0; i < sections.size(); ++i) {
    n_tiles += sections[i].n_tiles();
    if (sections[i].input != i) continue;
    if (sections[i].layout == Section::Layout::Ints)
      input_rows_[i].fill_ints(kernels_, pool_, row_of(p.x, 0), p.rows, sections[i]);
    else if (takes_halves(sections[i]))
      input_rows_[i].fill_halves(kernels_, pool_, row_of(p.x, 0), p.rows, sections[i]);
  }
  pool_.parallel(n_tiles, [&](int64_t begin, int64_t end, int) {
    int64_t first = 0;
    for (const Section& section : sections) {
      const int64_t from = std::max(begin, first), to = std::min(end, first + section.n_tiles());
      if (from < to) linear_tiles(p, section, input_rows_[section.input], from - first, to - first);
      first += section.n_tiles();
    }
  });
}

// Pairs (i, i + D / 2) of a head turn by the row's angle i.
void rotate(const float* x, float* out, const float* cosines, const float* sines, int half) {
  for (int i = 0; i < half; ++i) {
    const float a = x[i], b = x[i + half];
    out[i] = a * cosines[i] - b * sines[i];
    out[i + half] = b * cosines[i] + a * sines[i];
  }
}

void CpuBackend::rotate_row(const RopeAppendParams& p, int row, float* rotated) const {
  const int half = shape_.head_dim / 2;
  const float* cosines = &batch_.cosines[static_cast<size_t>(row * half)];
  const float* sines = &batch_.sines[static_cast<size_t>(row * half)];
  float* q = row_of(p.qkv, row);
  for (int head = 0; head < shape_.n_heads; ++head, q += shape_.head_dim) rotate(q, q, cosines, sines, half);
  const int position = batch_.positions[static_cast<size_t>(row)];
  const int block = slots_.block_table(batch_.slots[static_cast<size_t>(row)])[position / shape_.block_size];
  const float* k = q;
  const float* v = k + shape_.n_kv_heads * shape_.head_dim;
  for (int head = 0; head < shape_.n_kv_heads; ++head, k += shape_.head_dim, v += shape_.head_dim) {
    rotate(k, rotated, cosines, sines, half);
    cache_.append(p.layer, head, block, position % shape_.block_size, rotated, v);
  }
}

void CpuBackend::rope_append(const RopeAppendParams& p) {
  assert(p.qkv.cols == int64_t{shape_.n_heads + 2 * shape_.n_kv_heads} * shape_.head_dim);
  pool_.parallel(std::min(p.rows, batch_.n_rows()), [&](int64_t begin, int64_t end, int worker) {
    for (int64_t row = begin; row < end; ++row)
      rotate_row(p, static_cast<int>(row), scratch_[static_cast<size_t>(worker)].data());
  });
}

void CpuBackend::attend_item(const AttentionParams& p, const AttendItem& item, float* scratch) const {
  const Slice& slice = batch_.slices[static_cast<size_t>(item.slice)];
  const int row = batch_.first_row[static_cast<size_t>(item.slice)] + item.first;
  const int group = shape_.n_heads / shape_.n_kv_heads;
  const int64_t first_column = int64_t{item.head} * group * shape_.head_dim;
  AttendTask task{};
  task.q = row_of(p.qkv, row) + first_column;
  task.out = row_of(p.out, row) + first_column;
  task.q_stride = p.qkv.cols;
  task.out_stride = p.out.cols;
  task.n_rows = item.count;
  task.position = slice.start + item.first;
  task.group = group;
  task.head_dim = shape_.head_dim;
  task.window = shape_.sliding_window;
  task.block_size = shape_.block_size;
  task.dtype = shape_.kv_dtype;
  task.cache = cache_.head(p.layer, item.head);
  task.block_stride = cache_.block_stride();
  task.v_offset = cache_.v_offset();
  task.scales_offset = cache_.scales_offset();
  task.block_table = slots_.block_table(slice.slot);
  task.scratch = scratch;
  kernels_.attend(task);
}

void CpuBackend::attention(const AttentionParams& p) {
  assert(p.out.cols == int64_t{shape_.n_heads} * shape_.head_dim);
  pool_.each(static_cast<int64_t>(attend_items_.size()), [&](int64_t i, int worker) {
    attend_item(p, attend_items_[static_cast<size_t>(i)], scratch_[static_cast<size_t>(worker)].data());
  });
}

void CpuBackend::swiglu(const SwigluParams& p) {
  assert(p.gate_up.cols == 2 * p.out.cols);
  pool_.parallel(p.rows, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const float* gate = row_of(p.gate_up, row);
      kernels_.swiglu(gate, gate + p.out.cols, row_of(p.out, row), p.out.cols);
    }
  });
}

void CpuBackend::check_outputs(int first, int count) const {
  check(first >= 0 && count >= 0 && static_cast<size_t>(first) + static_cast<size_t>(count) <= batch_.outputs.size(),
        "Outputs ", first, " to ", first + count, " are not within the ", batch_.outputs.size(), " of the step.");
}

void CpuBackend::gather(const GatherParams& p) {
  assert(p.x.cols == p.out.cols);
  check_outputs(p.first, p.count);
  for (int i = 0; i < p.count; ++i) {
    const int row = batch_.outputs[static_cast<size_t>(p.first + i)].row;
    std::memcpy(row_of(p.out, i), row_of(p.x, row), static_cast<size_t>(p.x.cols) * sizeof(float));
  }
}

RowTask CpuBackend::task_of(const Output& output, const float* logits) const {
  const Slice& slice = batch_.slices[static_cast<size_t>(output.slice)];
  RowTask task;
  task.logits = {logits, static_cast<size_t>(shape_.vocab_size)};
  task.slice = output.slice;
  task.score = output.target >= 0;
  task.target = task.score ? batch_.targets[static_cast<size_t>(output.target)] : 0;
  task.score_top = slice.score_top;
  task.sample = output.sample;
  task.top = slice.top;
  task.position = slice.start + slice.count;
  task.slot = &slots_.sampling(slice.slot);
  if (slice.constrained) task.mask = slots_.mask(slice.slot);
  task.mask_missing = slice.constrained && task.mask.empty();
  return task;
}

void CpuBackend::report(const Output& output, const RowAnswer& answer) {
  StepResult& result = this->result();
  const int first_top = static_cast<int>(result.top_ids.size());
  result.top_ids.insert(result.top_ids.end(), answer.top_ids.begin(), answer.top_ids.end());
  result.top_logprobs.insert(result.top_logprobs.end(), answer.top_logprobs.begin(), answer.top_logprobs.end());
  const auto add = [&](std::vector<StepResult::Entry>& to, StepResult::Entry entry) {
    entry.first_top = first_top;
    to.push_back(entry);
  };
  if (output.target >= 0) add(result.scored, answer.scored);
  if (!output.sample) return;
  add(result.sampled, answer.sampled);
  if (answer.sampled.status == RowStatus::Ok)
    slots_.take(batch_.slices[static_cast<size_t>(output.slice)].slot, answer.sampled.token);
}

void CpuBackend::sample(const SampleParams& p) {
  assert(p.logits.cols == shape_.vocab_size);
  check_outputs(p.first, p.count);
  const std::span<const Output> outputs =
      std::span(batch_.outputs).subspan(static_cast<size_t>(p.first), static_cast<size_t>(p.count));
  if (answers_.size() < outputs.size()) answers_.resize(outputs.size());
  pool_.each(p.count, [&](int64_t i, int worker) {
    const size_t at = static_cast<size_t>(i);
    samplers_[static_cast<size_t>(worker)].answer(task_of(outputs[at], row_of(p.logits, i)), answers_[at]);
  });
  for (size_t i = 0; i < outputs.size(); ++i) report(outputs[i], answers_[i]);
}

void CpuBackend::read_hidden(const Tensor& x) {
  std::vector<float>& hidden = result().hidden;
  const auto append = [&](int row) { hidden.insert(hidden.end(), row_of(x, row), row_of(x, row) + x.cols); };
  for (size_t i = 0; i < batch_.slices.size(); ++i) {
    const Slice& slice = batch_.slices[i];
    const int first = batch_.first_row[i];
    if (slice.hidden == Rows::None) continue;
    append(slice.hidden == Rows::Last ? first + slice.count - 1 : first);
    for (int r = 1; r < slice.count; ++r) {
      if (slice.hidden == Rows::All) append(first + r);
      if (slice.hidden != Rows::Sum) continue;
      float* sum = hidden.data() + hidden.size() - static_cast<size_t>(x.cols);
      for (int64_t c = 0; c < x.cols; ++c) sum[c] += row_of(x, first + r)[c];
    }
  }
}

}  // namespace
}  // namespace cpu

std::unique_ptr<Backend> make_cpu_backend(const BackendOptions& options) {
  return std::make_unique<cpu::CpuBackend>(options);
}

}  // namespace gattling
