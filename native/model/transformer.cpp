#include "model/transformer.h"

#include <algorithm>
#include <utility>

#include "backend/error.h"

namespace gattling {

namespace {

// Rows of logits at once: a long prompt's log-probabilities never hold prompt x vocabulary.
constexpr int kLogitsTile = 64;

}  // namespace

Transformer::Transformer(const ModelConfig& config, std::unique_ptr<Backend> backend, Checkpoint& checkpoint,
                         const LoadProgress& progress)
    : config_(config), backend_(std::move(backend)) {
  uint64_t n_done = 0;
  const auto load = [&](const WeightSpec& spec) {
    std::vector<HostTensor> parts;
    for (const TensorSpec& part : spec.parts) parts.push_back(checkpoint.get(part.name, part.shape));
    WeightPtr weight = backend_->pack(spec.use, parts, Shard{});
    for (const HostTensor& part : parts) {
      checkpoint.release(part.name);
      n_done += part.bytes();
    }
    weight_bytes_ += weight->bytes();
    if (progress) progress(n_done, checkpoint.total_bytes());
    return weight;
  };
  if (!config.tie_embeddings) embedding_ = load(embedding_spec(config));
  for (int i = 0; i < config.n_layers; ++i) {
    const LayerSpec spec = layer_spec(config, i);
    layers_.push_back({load(spec.input_norm), load(spec.qkv), load(spec.attn_out), load(spec.ffn_norm),
                       load(spec.gate_up), load(spec.down)});
  }
  final_norm_ = load(final_norm_spec(config));
  head_ = load(head_spec(config));
  checkpoint.refuse_other_biases(config.architecture);
}

std::vector<Transformer::Activation> Transformer::activations(const ModelConfig& config, const StateShape& state,
                                                              int rows) {
  const int tile = std::min(kLogitsTile, std::max(rows, state.n_slots));
  const int64_t hidden = state.hidden_size, q_cols = int64_t{state.n_heads} * state.head_dim;
  return {
      {&Transformer::residual_, Role::Residual, rows, hidden},
      {&Transformer::normed_, Role::Activation, rows, hidden},
      {&Transformer::qkv_, Role::Activation, rows, q_cols + int64_t{2} * state.n_kv_heads * state.head_dim},
      {&Transformer::attended_, Role::Activation, rows, q_cols},
      {&Transformer::delta_, Role::Activation, rows, hidden},
      {&Transformer::gate_up_, Role::Activation, rows, int64_t{2} * config.ffn_size},
      {&Transformer::activated_, Role::Activation, rows, config.ffn_size},
      {&Transformer::outputs_, Role::Activation, tile, hidden},
      {&Transformer::logits_, Role::Logits, tile, state.vocab_size},
  };
}

uint64_t Transformer::step_bytes(const ModelConfig& config, const StateShape& state, const Backend& backend) {
  uint64_t bytes = backend.work_bytes(state, std::max(config.ffn_size, state.hidden_size));
  for (const Activation& activation : activations(config, state, backend.row_bucket(state.max_rows)))
    bytes += backend.tensor_bytes(activation.role, activation.rows, activation.cols);
  return bytes;
}

void Transformer::allocate(const StateShape& state, ModelInfo info) {
  info_ = std::move(info);
  for (const Activation& activation : activations(config_, state, backend_->row_bucket(state.max_rows)))
    this->*activation.tensor = backend_->allocate(activation.role, activation.rows, activation.cols);
  backend_->allocate_state(state);
}

void Transformer::forward(const Step& step) {
  n_outputs_ = static_cast<int>(step.targets.size());
  bool hidden = false;
  for (const Slice& slice : step.slices) {
    n_outputs_ += slice.sample && slice.n_score < slice.count;
    hidden |= slice.hidden != Rows::None;
  }
  backend_->begin(step);
  const int rows = backend_->row_bucket(step.n_rows());
  backend_->captured(rows, [&] { run_layers(rows); });
  if (hidden) backend_->read_hidden(normed_);
}

void Transformer::run_layers(int rows) {
  Backend& b = *backend_;
  b.embed({embedding_ ? embedding_.get() : head_.get(), residual_, rows});
  const Tensor* delta = nullptr;
  for (int i = 0; i < config_.n_layers; ++i) {
    const Layer& layer = layers_[i];
    b.rmsnorm({residual_, delta, layer.input_norm.get(), config_.rms_eps, normed_, rows});
    b.linear({layer.qkv.get(), normed_, qkv_, rows});
    b.rope_append({qkv_, i, rows});
    b.attention({qkv_, attended_, i, rows});
    b.linear({layer.attn_out.get(), attended_, delta_, rows});
    b.all_reduce(delta_, rows);
    b.rmsnorm({residual_, &delta_, layer.ffn_norm.get(), config_.rms_eps, normed_, rows});
    b.linear({layer.gate_up.get(), normed_, gate_up_, rows});
    b.swiglu({gate_up_, activated_, rows});
    b.linear({layer.down.get(), activated_, delta_, rows});
    b.all_reduce(delta_, rows);
    delta = &delta_;
  }
  b.rmsnorm({residual_, delta, final_norm_.get(), config_.rms_eps, normed_, rows});
}

Ticket Transformer::sample() {
  const int tile = static_cast<int>(logits_.rows);
  for (int first = 0; first < n_outputs_; first += tile) {
    const int count = std::min(tile, n_outputs_ - first);
    backend_->gather({normed_, outputs_, first, count});
    backend_->linear({head_.get(), outputs_, logits_, count});
    backend_->sample({logits_, first, count});
  }
  return backend_->end();
}

}  // namespace gattling
