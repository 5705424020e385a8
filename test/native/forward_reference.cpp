#include "forward_reference.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

namespace reference {

using namespace gattling;

namespace {

double number(const std::byte* at, DType dtype) {
  if (dtype == DType::F32) {
    float value;
    std::memcpy(&value, at, 4);
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, at, 2);
  const double sign = bits & 0x8000 ? -1 : 1;
  const int mantissa_bits = dtype == DType::BF16 ? 7 : 10, bias = dtype == DType::BF16 ? 127 : 15;
  const int exponent = (bits & 0x7FFF) >> mantissa_bits, mantissa = bits & ((1 << mantissa_bits) - 1);
  const int implicit = exponent > 0 ? 1 << mantissa_bits : 0;
  return sign * std::ldexp(mantissa + implicit, std::max(exponent, 1) - bias - mantissa_bits);
}

Matrix read(Checkpoint& checkpoint, const std::string& name, const std::vector<int64_t>& shape) {
  const HostTensor& tensor = checkpoint.get(name, shape);
  Matrix out(tensor.size());
  for (size_t i = 0; i < out.size(); ++i) out[i] = number(tensor.data + i * size_of(tensor.dtype), tensor.dtype);
  return out;
}

void add(Matrix& x, const Matrix& delta) {
  for (size_t i = 0; i < x.size(); ++i) x[i] += delta[i];
}

}  // namespace

Transformer::Transformer(const ModelConfig& config, Checkpoint& checkpoint) : config_(config) {
  const int64_t hidden = config.hidden_size, ffn = config.ffn_size, vocab = config.vocab_size;
  const int64_t q = config.n_heads * config.head_dim, kv = config.n_kv_heads * config.head_dim;
  const auto load = [&](const std::string& name, int64_t out, int64_t in, bool bias) {
    Linear linear{read(checkpoint, name + ".weight", {out, in}), {}};
    if (bias) linear.bias = read(checkpoint, name + ".bias", {out});
    return linear;
  };
  embedding_ = read(checkpoint, "model.embed_tokens.weight", {vocab, hidden});
  final_norm_ = read(checkpoint, "model.norm.weight", {hidden});
  head_ = config.tie_embeddings ? Linear{embedding_, {}} : load("lm_head", vocab, hidden, false);
  for (int i = 0; i < config.n_layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    layers_.push_back({read(checkpoint, layer + "input_layernorm.weight", {hidden}),
                       read(checkpoint, layer + "post_attention_layernorm.weight", {hidden}),
                       load(layer + "self_attn.q_proj", q, hidden, config.qkv_bias),
                       load(layer + "self_attn.k_proj", kv, hidden, config.qkv_bias),
                       load(layer + "self_attn.v_proj", kv, hidden, config.qkv_bias),
                       load(layer + "self_attn.o_proj", hidden, q, config.attn_out_bias),
                       load(layer + "mlp.gate_proj", ffn, hidden, false),
                       load(layer + "mlp.up_proj", ffn, hidden, false),
                       load(layer + "mlp.down_proj", hidden, ffn, false)});
  }
}

Matrix Transformer::logprobs(const std::vector<int32_t>& tokens) const {
  Matrix x;
  for (int32_t token : tokens) {
    const auto row = embedding_.begin() + int64_t{token} * config_.hidden_size;
    x.insert(x.end(), row, row + config_.hidden_size);
  }
  for (const Layer& layer : layers_) {
    Matrix normed = norm(x, layer.attention_norm);
    Matrix q = linear(layer.q, normed, config_.n_heads * config_.head_dim);
    Matrix k = linear(layer.k, normed, config_.n_kv_heads * config_.head_dim);
    const Matrix v = linear(layer.v, normed, config_.n_kv_heads * config_.head_dim);
    rotate(q, config_.n_heads);
    rotate(k, config_.n_kv_heads);
    add(x, linear(layer.o, attend(q, k, v), config_.hidden_size));

    normed = norm(x, layer.ffn_norm);
    const Matrix gate = linear(layer.gate, normed, config_.ffn_size);
    Matrix up = linear(layer.up, normed, config_.ffn_size);
    for (size_t i = 0; i < up.size(); ++i) up[i] *= gate[i] / (1 + std::exp(-gate[i]));  // silu
    add(x, linear(layer.down, up, config_.hidden_size));
  }
  Matrix out = linear(head_, norm(x, final_norm_), config_.vocab_size);
  for (auto row = out.begin(); row != out.end(); row += config_.vocab_size) {
    const double max = *std::max_element(row, row + config_.vocab_size);
    double sum = 0;
    for (int i = 0; i < config_.vocab_size; ++i) sum += std::exp(row[i] - max);
    for (int i = 0; i < config_.vocab_size; ++i) row[i] -= max + std::log(sum);
  }
  return out;
}

// [n, out] = x [n, in] * weight^T + bias
Matrix Transformer::linear(const Linear& linear, const Matrix& x, int out) const {
  const size_t in = linear.weight.size() / out, n = x.size() / in;
  Matrix y(n * out);
  for (size_t row = 0; row < n; ++row)
    for (int o = 0; o < out; ++o) {
      double sum = linear.bias.empty() ? 0 : linear.bias[o];
      for (size_t i = 0; i < in; ++i) sum += x[row * in + i] * linear.weight[o * in + i];
      y[row * out + o] = sum;
    }
  return y;
}

// RMSNorm (Zhang and Sennrich 2019) of each row.
Matrix Transformer::norm(const Matrix& x, const Matrix& scale) const {
  const size_t width = scale.size();
  Matrix out(x.size());
  for (size_t row = 0; row < x.size(); row += width) {
    double squares = 0;
    for (size_t i = 0; i < width; ++i) squares += x[row + i] * x[row + i];
    for (size_t i = 0; i < width; ++i)
      out[row + i] = x[row + i] * scale[i] / std::sqrt(squares / static_cast<double>(width) + config_.rms_eps);
  }
  return out;
}

// Radians that pair i turns by from one position to the next. llama3: transformers, modeling_rope_utils.py.
double Transformer::frequency(int pair) const {
  const RopeConfig& rope = config_.rope;
  const double plain = 1 / std::pow(rope.theta, 2.0 * pair / config_.head_dim);
  if (rope.type == RopeType::Default) return plain;
  if (rope.type == RopeType::Linear) return plain / rope.factor;
  const double wavelength = 2 * std::numbers::pi / plain;
  if (wavelength < rope.original_max_position / rope.high_freq_factor) return plain;
  if (wavelength > rope.original_max_position / rope.low_freq_factor) return plain / rope.factor;
  const double smooth =
      (rope.original_max_position / wavelength - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
  return (1 - smooth) * plain / rope.factor + smooth * plain;
}

// Turns [n, n_heads, D] by position, dimension i together with i + D / 2.
void Transformer::rotate(Matrix& heads, int n_heads) const {
  const int dim = config_.head_dim, half = dim / 2;
  const size_t n = heads.size() / (n_heads * dim);
  for (size_t position = 0; position < n; ++position)
    for (int head = 0; head < n_heads; ++head)
      for (int i = 0; i < half; ++i) {
        const double angle = static_cast<double>(position) * frequency(i);
        double& a = heads[(position * n_heads + head) * dim + i];
        double& b = heads[(position * n_heads + head) * dim + i + half];
        const double turned = a * std::cos(angle) - b * std::sin(angle);
        b = b * std::cos(angle) + a * std::sin(angle);
        a = turned;
      }
}

// [n, Hq, D] of q [n, Hq, D], k and v [n, Hkv, D]: causal, within the window.
Matrix Transformer::attend(const Matrix& q, const Matrix& k, const Matrix& v) const {
  const int n_heads = config_.n_heads, n_kv_heads = config_.n_kv_heads, dim = config_.head_dim;
  const int n = static_cast<int>(q.size()) / (n_heads * dim);
  Matrix out(q.size());
  for (int query = 0; query < n; ++query)
    for (int head = 0; head < n_heads; ++head) {
      const size_t at = (size_t(query) * n_heads + head) * dim;
      const auto kv_at = [&](int key) { return (size_t(key) * n_kv_heads + head / (n_heads / n_kv_heads)) * dim; };
      const auto seen = [&](int key) { return config_.sliding_window == 0 || query - key < config_.sliding_window; };
      std::vector<double> weights(query + 1);
      double sum = 0;
      for (int key = 0; key <= query; ++key) {
        if (!seen(key)) continue;
        double score = 0;
        for (int i = 0; i < dim; ++i) score += q[at + i] * k[kv_at(key) + i];
        sum += weights[key] = std::exp(score / std::sqrt(dim));
      }
      for (int key = 0; key <= query; ++key)
        for (int i = 0; i < dim; ++i) out[at + i] += weights[key] / sum * v[kv_at(key) + i];
    }
  return out;
}

}  // namespace reference
