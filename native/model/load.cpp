#include "model/load.h"

#include <algorithm>
#include <cstdlib>

#include "backend/error.h"
#include "backend/quantise.h"
#include "make_backend.h"
#include "model/memory_plan.h"
#include "model/rope.h"

namespace gattling {

namespace {

void check_options(const LoadOptions& o) {
  check(o.block_size >= 16 && o.block_size <= 256 && o.block_size % 16 == 0, "block_size is ", o.block_size,
        "; it must be a multiple of 16 from 16 to 256");
  check(o.max_num_seqs >= 1 && o.max_num_seqs <= 4096, "max_num_seqs is ", o.max_num_seqs,
        "; it must be from 1 to 4096");
  check(o.max_num_batched_tokens >= 1 && o.max_num_batched_tokens <= 1 << 16, "max_num_batched_tokens is ",
        o.max_num_batched_tokens, "; it must be from 1 to 65536");
  check(o.max_model_len >= 0 && o.threads >= 0, "max_model_len and threads must not be negative");
}

StateShape state_shape(const ModelConfig& config, const LoadOptions& options, DType kv_dtype) {
  StateShape state{};
  state.n_slots = options.max_num_seqs;
  state.max_rows = options.max_num_batched_tokens;
  state.block_size = options.block_size;
  state.n_layers = config.n_layers;
  state.n_heads = config.n_heads;
  state.n_kv_heads = config.n_kv_heads;
  state.head_dim = config.head_dim;
  state.vocab_size = config.vocab_size;
  state.hidden_size = config.hidden_size;
  state.sliding_window = config.sliding_window;
  state.kv_dtype = kv_dtype;
  state.inv_freq = inv_freq(config.rope, config.head_dim, config.rope_factors);
  return state;
}

ModelInfo model_info(const ModelConfig& config, const LoadOptions& options, const StateShape& state) {
  ModelInfo info;
  info.architecture = config.architecture;
  info.kv_dtype = state.kv_dtype;
  info.quantization = options.quantization;
  info.vocab_size = config.vocab_size;
  info.hidden_size = config.hidden_size;
  info.n_layers = config.n_layers;
  info.n_heads = config.n_heads;
  info.n_kv_heads = config.n_kv_heads;
  info.head_dim = config.head_dim;
  info.max_position = config.max_position;
  info.max_num_seqs = options.max_num_seqs;
  info.max_num_batched_tokens = options.max_num_batched_tokens;
  info.block_size = options.block_size;
  return info;
}

// Whether a GPU keeps the integers of a weight (cuda/pack.h).
bool stay_integers(Use use, std::span<const HostTensor> parts) {
  const Quantised* first = parts.empty() ? nullptr : parts[0].quantised;
  return use != Use::Embedding && use != Use::Head && first && first->order().empty() &&
         std::ranges::all_of(parts, [&](const HostTensor& part) {
           return part.shape.size() < 2 || (part.quantised && quantised_alike(*part.quantised, *first));
         });
}

// A quantised matrix in a GPU's tiles: fp16 scales alone, or scales and offsets in fp32.
uint64_t tile_bytes(const HostTensor& tensor) {
  const uint64_t n = static_cast<uint64_t>(tensor.shape[0] + 15) / 16 * 16;
  const uint64_t k = static_cast<uint64_t>(tensor.shape[1] + 63) / 64 * 64;
  const uint64_t group = std::min(k, static_cast<uint64_t>(tensor.quantised->group()));
  const uint64_t integers = n * k * static_cast<uint64_t>(tensor.quantised->bits()) / 8,
                 groups = n * ((k + group - 1) / group);
  return integers + groups * (packed_bytes(tensor) > integers + groups * 3 || tensor.quantised->has_offsets() ? 8 : 2);
}

// What the weights come to once they are packed.
uint64_t planned_bytes(const Checkpoint& checkpoint, const ModelConfig& config, DType compute,
                       Quantization quantization, bool on_cpu) {
  uint64_t bytes = 0, widened = 0;
  for (const WeightSpec& weight : weight_specs(config)) {
    std::vector<HostTensor> stored;
    for (const TensorSpec& spec : weight.parts) stored.push_back(*checkpoint.find(spec.name));
    const QuantisedParts parts(weight.use, stored, quantization);
    const bool integers = on_cpu || stay_integers(weight.use, parts.parts());
    uint64_t plain = 0;
    for (const HostTensor& part : parts.parts()) {
      // Arithmetic in fp32 reads plain numbers as they are stored.
      const DType dtype = compute == DType::F32 ? part.dtype : compute;
      const uint64_t stored_plain = static_cast<uint64_t>(part.size()) * size_of(dtype);
      bytes += !part.quantised || !integers ? stored_plain : on_cpu ? packed_bytes(part) : tile_bytes(part);
      if (part.quantised && integers) plain += stored_plain;
    }
    widened = std::max(widened, plain);
  }
  // A GPU makes plain weights of one at a time, for steps of many rows.
  return on_cpu ? bytes : bytes + widened;
}

// All that is known before the weights are read, so that what cannot fit fails at once.
struct Plan {
  Checkpoint checkpoint;
  ModelConfig config;
  std::unique_ptr<Backend> backend;
  StateShape state;
  ModelInfo info;
};

Plan make_plan(const LoadOptions& options) {
  check_options(options);
  Checkpoint checkpoint = Checkpoint::open(options.folder);
  const ModelConfig config = checkpoint.config();
  for (const TensorSpec& spec : tensor_specs(config)) checkpoint.expect(spec.name, spec.shape);
  const TensorSpec table = embedding_spec(config).parts[0];
  const HostTensor& source = checkpoint.expect(table.name, table.shape);
  const DType stored = options.dtype.value_or(source.dtype);

  std::unique_ptr<Backend> backend =
      make_backend(options.device, {options.threads, stored, options.unit, options.deterministic,
                                    options.gpu_memory_utilization, options.quantization});
  const DType dtype = backend->info().compute;
  const std::string& device = backend->info().device;
  const uint64_t weight_bytes = planned_bytes(checkpoint, config, dtype, options.quantization, device == "cpu");
  const uint64_t free_bytes = backend->free_memory();
  StateShape state = state_shape(config, options, options.kv_dtype.value_or(dtype));
  check(state.kv_dtype != DType::Int8 || device == "cpu", "a KV cache of int8 is for device cpu; on ", device,
        " it must be float32, bfloat16 or float16");
  ModelInfo info = model_info(config, options, state);
  const uint64_t block_bytes = backend->block_bytes(state);
  const uint64_t step_bytes = Transformer::step_bytes(config, state, *backend);
  check(weight_bytes + step_bytes <= free_bytes, "the weights take ", format_bytes(weight_bytes), ", steps of up to ",
        options.max_num_batched_tokens, " tokens ", format_bytes(step_bytes), ", and ", format_bytes(free_bytes),
        " of memory are free on ", device);
  const uint64_t left = free_bytes - weight_bytes - step_bytes;
  const std::optional<uint64_t> cache =
      options.kv_cache_memory ? std::optional(options.kv_cache_memory) : backend->cache_budget(left);
  const MemoryPlan plan = plan_memory(
      {block_bytes, options.block_size, left, cache, options.max_model_len, config.max_position, options.max_num_seqs});
  state.n_blocks = plan.n_blocks;
  state.max_blocks = (plan.max_model_len + options.block_size - 1) / options.block_size;
  info.dtype = dtype;
  info.backend = backend->info();
  info.max_model_len = plan.max_model_len;
  info.n_blocks = plan.n_blocks;
  info.weight_bytes = weight_bytes;
  info.kv_bytes = block_bytes * plan.n_blocks;
  return {std::move(checkpoint), config, std::move(backend), std::move(state), std::move(info)};
}

}  // namespace

ModelInfo plan_model(const LoadOptions& options) {
  return make_plan(options).info;
}

std::unique_ptr<Model> load_model(const LoadOptions& options, const LoadProgress& progress) {
  Plan plan = make_plan(options);
  auto model = std::make_unique<Transformer>(plan.config, std::move(plan.backend), plan.checkpoint, progress);
  plan.info.backend = model->backend().info();
  plan.info.weight_bytes = model->weight_bytes();
  model->allocate(plan.state, std::move(plan.info));
  return model;
}

}  // namespace gattling
