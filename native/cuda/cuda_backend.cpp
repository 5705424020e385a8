#include "cuda/cuda_backend.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdlib>
#include <map>
#include <optional>

#include "backend/check_step.h"
#include "backend/error.h"
#include "cuda/attention_plan.h"
#include "cuda/hidden_rows.h"
#include "cuda/kernels/attention.h"
#include "cuda/kernels/elementwise.h"
#include "cuda/kernels/linear_plan.h"
#include "cuda/kernels/rmsnorm.h"
#include "cuda/kernels/rope_append.h"
#include "cuda/library_linear.h"
#include "cuda/pack.h"
#include "cuda/sampler.h"
#include "cuda/step_inputs.h"

namespace gattling {
namespace cuda {
namespace {

// A result lives until the collect after the next, while up to two later steps have begun.
constexpr size_t kResults = 4;
// Decode steps of more rows gain nothing from a graph.
constexpr int kMaxGraphRows = 512;

// As few graphs as cost little in rows that nobody asked for.
int bucket_of(int rows) {
  if (rows <= 2) return rows;
  if (rows <= 4) return 4;
  const int step = rows <= 64 ? 8 : rows <= 256 ? 16 : 64;
  return (rows + step - 1) / step * step;
}

Half half_of(DType dtype) {
  return dtype == DType::BF16 ? Half::BF16 : Half::F16;
}

std::unique_ptr<CublasLt> find_library(const BackendOptions& options, const DeviceInfo& device) {
  if (options.deterministic || (device.emulated && std::getenv("CUBLAS_ROOT") == nullptr)) return nullptr;
  return CublasLt::find();
}

int columns(int64_t n) {
  return static_cast<int>(n);
}

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(const BackendOptions& options)
      : options_(options),
        device_(open_device()),
        half_(half_of(options.compute)),
        packer_(stream_),
        library_(find_library(options, device_)) {
    const std::string unit = library_.name() ? device_.name + ", " + *library_.name() : device_.name;
    info_ = {"cuda", unit, 1, 1, half_ == Half::BF16 ? DType::BF16 : DType::F16};
    stream_.fill(linear_space_.as<void>(), 0, linear_space_.bytes());
  }
  ~CudaBackend() override { stream_.settle(); }

  const BackendInfo& info() const override { return info_; }
  std::unique_ptr<Weight> pack(Use use, std::span<const HostTensor> parts, Shard shard) override {
    use_device();
    auto weight = packer_.pack(use, parts, shard, half_, options_.quantization);
    if (const size_t widened = weight->widened_bytes(); widened > widened_.bytes()) {
      widened_ = {};  // before there is another
      widened_ = Buffer(widened);
    }
    return weight;
  }
  Tensor allocate(Role role, int64_t rows, int64_t cols) override;
  void allocate_state(const StateShape& shape) override;
  size_t block_bytes(const StateShape& shape) const override;
  size_t free_memory() const override;
  size_t tensor_bytes(Role role, int64_t rows, int64_t cols) const override {
    return static_cast<size_t>(rows * stride_of(cols)) * size_of(dtype_of(role));
  }
  size_t work_bytes(const StateShape& shape, int widest) const override;
  std::optional<uint64_t> cache_budget(uint64_t free) const override;

  void begin(const Step& step) override;
  int row_bucket(int rows) const override { return decodes_ ? bucket_of(rows) : rows; }
  void captured(uint64_t key, const std::function<void()>& enqueue) override;
  void embed(const EmbedParams& p) override;
  void rmsnorm(const RmsNormParams& p) override;
  void linear(const LinearParams& p) override;
  void rope_append(const RopeAppendParams& p) override;
  void attention(const AttentionParams& p) override;
  void swiglu(const SwigluParams& p) override;
  void gather(const GatherParams& p) override;
  void set_mask(int slot, std::span<const uint32_t> bits) override;
  void sample(const SampleParams& p) override;
  void read_hidden(const Tensor& x) override;
  void all_reduce(const Tensor&, int) override {}  // one rank
  Ticket end() override;
  const StepResult& collect(Ticket ticket) override;

 private:
  // What a step leaves for the host.
  struct Pending {
    Event done;
    HiddenRows::Answer hidden;
    Ticket sampled = 0;  // the sampler's name of it
    StepResult result;
  };

  const CudaWeight& weight_of(const Weight* weight) const { return static_cast<const CudaWeight&>(*weight); }
  DType dtype_of(Role role) const { return role == Role::Activation ? info_.compute : DType::F32; }
  Pending& pending(Ticket ticket) { return pending_[ticket % kResults]; }
  PagedCache cache_of(int layer) const;
  LinearArgs linear_args(const CudaWeight& weight, const LinearParams& p) const;
  void widen(LinearArgs& args);
  AttentionArgs attention_args(const AttentionParams& p, AttentionTile tile) const;

  const BackendOptions options_;
  const DeviceInfo device_;
  const Half half_;
  Stream stream_;
  Packer packer_;
  LibraryLinear library_;
  BackendInfo info_;
  std::vector<Buffer> tensors_;

  StateShape shape_{};
  Buffer cache_;
  Buffer inv_freq_;
  StepInputs inputs_;
  std::optional<Sampler> sampler_;
  std::optional<AttentionPlan> plan_;
  AttentionPlan::Made made_{};  // of this step
  Upload work_;                 // its AttentionWork
  Buffer attention_space_;
  Buffer linear_space_{kLinearWorkspace};
  Buffer widened_;  // one weight of integers, for steps of many rows
  HiddenRows hidden_;
  int tile_rows_ = 1;  // of logits

  bool decodes_ = true;                              // the step has one row a sequence
  LinearParams gate_up_{};                           // a matmul that waits for its SwiGLU
  bool interleaved_ = false;                         // what the last matmul made is so
  std::map<uint64_t, std::optional<Graph>> graphs_;  // a key that was run once has no graph yet
  Ticket ticket_ = 0;
  std::array<Pending, kResults> pending_;
};

Tensor CudaBackend::allocate(Role role, int64_t rows, int64_t cols) {
  use_device();
  if (role == Role::Logits) tile_rows_ = std::max(tile_rows_, static_cast<int>(rows));
  tensors_.emplace_back(tensor_bytes(role, rows, cols));
  // The padding of rows is multiplied, by zeros: it has to be finite.
  stream_.fill(tensors_.back().as<void>(), 0, tensors_.back().bytes());
  return {tensors_.back().as<void>(), rows, cols, dtype_of(role)};
}

size_t CudaBackend::block_bytes(const StateShape& shape) const {
  return size_t{2} * static_cast<size_t>(shape.n_layers) * static_cast<size_t>(shape.n_kv_heads) *
         static_cast<size_t>(shape.block_size) * static_cast<size_t>(shape.head_dim) * sizeof(uint16_t);
}

size_t CudaBackend::free_memory() const {
  use_device();
  return free_device_memory();
}

// Workspaces, graphs and modules; counts and adjusted logits where requests want them.
size_t CudaBackend::work_bytes(const StateShape& shape, int) const {
  return (size_t{256} << 20) + static_cast<size_t>(shape.n_slots) * static_cast<size_t>(shape.vocab_size) * 8;
}

std::optional<uint64_t> CudaBackend::cache_budget(uint64_t free) const {
  const auto kept = static_cast<double>(device_.total_memory) * (1 - options_.gpu_memory_utilization);
  return free - std::min(free, static_cast<uint64_t>(kept));
}

void CudaBackend::allocate_state(const StateShape& shape) {
  use_device();
  check_state(shape);
  check(shape.head_dim % 8 == 0 && shape.head_dim <= 256, "The head size is ", shape.head_dim,
        "; on device cuda it has to be a multiple of 8 and at most 256.");
  shape_ = shape;
  if (shape_.kv_dtype == DType::F32) shape_.kv_dtype = info_.compute;
  cache_ = Buffer(block_bytes(shape) * static_cast<size_t>(shape.n_blocks));
  inv_freq_ = Buffer(shape.inv_freq.size() * sizeof(float));
  stream_.copy_to_device(inv_freq_.as<void>(), shape_.inv_freq.data(), inv_freq_.bytes());
  const int rows = bucket_of(shape.max_rows);
  inputs_ = StepInputs(shape_, rows, stream_);
  sampler_.emplace(shape_, tile_rows_, stream_);
  plan_.emplace(shape_, device_, options_.deterministic);
  work_ = Upload(plan_->work_bytes());
  attention_space_ = Buffer(plan_->space_bytes());
  stream_.fill(attention_space_.as<void>(), 0, attention_space_.bytes());
  graphs_.clear();
  stream_.synchronize();
}

PagedCache CudaBackend::cache_of(int layer) const {
  const size_t layer_bytes = cache_.bytes() / static_cast<size_t>(shape_.n_layers);
  return {cache_.as<std::byte>() + layer_bytes * static_cast<size_t>(layer),
          half_of(shape_.kv_dtype),
          shape_.n_kv_heads,
          shape_.block_size,
          shape_.head_dim,
          inputs_.block_tables(),
          shape_.max_blocks};
}

void CudaBackend::begin(const Step& step) {
  use_device();
  check_step(step, shape_);
  ++ticket_;
  pending(ticket_).hidden.n = 0;
  gate_up_ = {};  // of a step that threw
  decodes_ = std::all_of(step.slices.begin(), step.slices.end(), [](const Slice& slice) { return slice.count == 1; });
  const int bucket = row_bucket(step.n_rows());
  sampler_->begin(step);
  inputs_.begin(step, bucket, sampler_->last_tokens(), stream_);
  made_ = plan_->make(step.slices, work_.next(plan_->work_bytes(), stream_));
  work_.send(made_.bytes, stream_);
  hidden_.want(step);
}

// A key's first step runs as it is, so that what the first launch of a kernel sets up is not captured.
void CudaBackend::captured(uint64_t key, const std::function<void()>& enqueue) {
  if (!decodes_ || key > kMaxGraphRows) return enqueue();
  const auto at = graphs_.find(key);
  if (at == graphs_.end()) {
    enqueue();
    graphs_.try_emplace(key);  // unless that threw in the midst
    return;
  }
  if (!at->second) at->second.emplace(stream_.capture(enqueue));
  stream_.launch(*at->second);
}

void CudaBackend::embed(const EmbedParams& p) {
  const CudaWeight& table = weight_of(p.table);
  assert(table.bits == 0 && table.k == p.out.cols && table.n >= shape_.vocab_size);
  cuda::embed({table.data.as<void>(), half_, stride_of(table.k), inputs_.rows().tokens, static_cast<float*>(p.out.data),
               stride_of(p.out.cols), p.rows, columns(p.out.cols)},
              stream_);
}

void CudaBackend::rmsnorm(const RmsNormParams& p) {
  cuda::rmsnorm(
      {static_cast<float*>(p.residual.data), p.delta ? p.delta->data : nullptr, weight_of(p.scale).data.as<float>(),
       p.out.data, half_, p.rows, columns(p.out.cols), columns(stride_of(p.out.cols)), p.eps},
      stream_);
}

void CudaBackend::linear(const LinearParams& p) {
  const CudaWeight& weight = weight_of(p.weight);
  assert(weight.k == p.x.cols && weight.n == p.out.cols);
  interleaved_ = weight.interleaved;
  LinearArgs args = linear_args(weight, p);
  if (library_.wants(args)) {
    widen(args);
    if (library_.run(args, columns(std::min(p.x.rows, p.out.rows)), stream_)) return;
  }
  if (weight.interleaved) {
    gate_up_ = p;
    return;
  }
  widen(args);
  cuda::linear(args, stream_);
}

// Many rows take plain weights.
void CudaBackend::widen(LinearArgs& args) {
  if (args.ints.q == nullptr || args.rows <= kDecodeRows) return;
  widen_ints(args, widened_.as<void>(), stream_);
  args.weight = widened_.as<void>();
  args.ints = {};
}

LinearArgs CudaBackend::linear_args(const CudaWeight& weight, const LinearParams& p) const {
  LinearArgs args{};
  args.x = p.x.data;
  args.weight = weight.data.as<void>();
  args.bias = weight.bias.as<float>();
  args.out = p.out.data;
  args.half = half_;
  args.out_fp32 = p.out.dtype == DType::F32;
  args.rows = p.rows;
  args.n = columns(weight.n);
  args.k_stride = columns(stride_of(weight.k));
  args.out_stride = columns(stride_of(p.out.cols));
  args.deterministic = options_.deterministic;
  args.workspace = linear_space_.as<float>();
  args.workspace_bytes = linear_space_.bytes();
  if (weight.bits == 0) return args;
  args.ints = {weight.data.as<void>(), weight.scales.as<void>(), weight.offsets.as<float>(), weight.bits,
               weight.group_shift};
  return args;
}

void CudaBackend::rope_append(const RopeAppendParams& p) {
  assert(p.qkv.cols == int64_t{shape_.n_heads + 2 * shape_.n_kv_heads} * shape_.head_dim);
  cuda::rope_append({p.qkv.data, stride_of(p.qkv.cols), half_, shape_.n_heads, inputs_.rows(), inv_freq_.as<float>(),
                     cache_of(p.layer), p.rows},
                    stream_);
}

AttentionArgs CudaBackend::attention_args(const AttentionParams& p, AttentionTile tile) const {
  return {p.qkv.data,
          stride_of(p.qkv.cols),
          p.out.data,
          stride_of(p.out.cols),
          half_,
          cache_of(p.layer),
          shape_.n_heads,
          shape_.sliding_window,
          reinterpret_cast<const AttentionWork*>(work_.device()),
          plan_->space(tile, attention_space_.as<void>())};
}

void CudaBackend::attention(const AttentionParams& p) {
  if (made_.decode) attention_decode(attention_args(p, AttentionTile::Decode), stream_);
  if (made_.prefill) attention_prefill(attention_args(p, AttentionTile::Prefill), stream_);
}

void CudaBackend::swiglu(const SwigluParams& p) {
  assert(p.gate_up.cols == 2 * p.out.cols);
  if (gate_up_.weight != nullptr) {
    LinearParams fused = std::exchange(gate_up_, {});
    assert(fused.out.data == p.gate_up.data && fused.rows == p.rows);
    fused.out = p.out;
    LinearArgs args = linear_args(weight_of(fused.weight), fused);
    args.swiglu = true;
    widen(args);
    return cuda::linear(args, stream_);
  }
  cuda::swiglu({p.gate_up.data, stride_of(p.gate_up.cols), p.out.data, stride_of(p.out.cols), half_, p.rows,
                columns(p.out.cols), interleaved_},
               stream_);
}

void CudaBackend::gather(const GatherParams& p) {
  check(p.first >= 0 && p.count >= 0 && p.first + p.count <= sampler_->n_outputs(), "Outputs ", p.first, " to ",
        p.first + p.count, " are not within the ", sampler_->n_outputs(), " of the step.");
  const int32_t* rows = sampler_->output_rows() + p.first;
  cuda::gather({p.x.data, stride_of(p.x.cols), p.out.data, stride_of(p.out.cols), rows, p.count, columns(p.x.cols)},
               stream_);
}

void CudaBackend::set_mask(int slot, std::span<const uint32_t> bits) {
  check_mask(slot, bits, shape_);
  sampler_->set_mask(slot, bits);
}

void CudaBackend::sample(const SampleParams& p) {
  assert(p.logits.cols == shape_.vocab_size && p.logits.rows <= tile_rows_);
  sampler_->sample(static_cast<const float*>(p.logits.data), stride_of(p.logits.cols), p.first, p.count);
}

void CudaBackend::read_hidden(const Tensor& x) {
  hidden_.read(x, half_, pending(ticket_).hidden, stream_);
}

Ticket CudaBackend::end() {
  pending(ticket_).sampled = sampler_->end();
  pending(ticket_).done.record(stream_);
  return ticket_;
}

const StepResult& CudaBackend::collect(Ticket ticket) {
  use_device();
  Pending& pending = this->pending(ticket);
  pending.done.wait();
  pending.result.clear();
  sampler_->read(pending.sampled, pending.result);
  const float* hidden = pending.hidden.rows.as<float>();
  pending.result.hidden.assign(hidden, hidden + pending.hidden.n);
  return pending.result;
}

}  // namespace
}  // namespace cuda

std::unique_ptr<Backend> make_cuda_backend(const BackendOptions& options) {
  return std::make_unique<cuda::CudaBackend>(options);
}

bool has_cuda_device() {
  try {
    cuda::open_device();
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace gattling
