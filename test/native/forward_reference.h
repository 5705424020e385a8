// The forward pass of the Llama family in its plainest form: a whole sequence at once, in double, without a cache. It
// shares only the reader of safetensors with the engine that it is the specification of.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/checkpoint.h"
#include "model/config.h"

namespace reference {

using Matrix = std::vector<double>;  // row-major

class Transformer {
 public:
  Transformer(const gattling::ModelConfig& config, gattling::Checkpoint& checkpoint);

  // [n, V] natural log of the probability of every token after tokens[0 .. i].
  Matrix logprobs(const std::vector<int32_t>& tokens) const;

 private:
  struct Linear {
    Matrix weight;  // [out, in]
    Matrix bias;    // [out], or empty
  };
  struct Layer {
    Matrix attention_norm, ffn_norm;  // [H]
    Linear q, k, v, o, gate, up, down;
  };

  Matrix linear(const Linear& linear, const Matrix& x, int out) const;
  Matrix norm(const Matrix& x, const Matrix& scale) const;
  void rotate(Matrix& heads, int n_heads) const;
  Matrix attend(const Matrix& q, const Matrix& k, const Matrix& v) const;
  double frequency(int pair) const;

  gattling::ModelConfig config_;
  Matrix embedding_, final_norm_;
  std::vector<Layer> layers_;
  Linear head_;
};

}  // namespace reference
