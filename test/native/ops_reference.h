// Every op in its plainest form, in double: the specification that backends are tested against.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "backend/sampling.h"

namespace reference {

using Matrix = std::vector<double>;  // row-major

// [rows, n] = x [rows, k] * weight [n, k]^T + bias [n] or none
Matrix linear(const Matrix& x, const Matrix& weight, const Matrix& bias, size_t rows, size_t n, size_t k);

// [rows, n]
Matrix rmsnorm(const Matrix& x, const Matrix& scale, double eps, size_t rows, size_t n);

// [rows, f] from [rows, f] each
Matrix swiglu(const Matrix& gate, const Matrix& up);

// One head [D] turned to a position.
Matrix rope(const Matrix& head, const std::vector<float>& inv_freq, int position);

// One query head [D] over keys and values [n, D].
Matrix attend(const Matrix& q, const Matrix& k, const Matrix& v);

// Natural log of softmax.
Matrix log_softmax(const Matrix& logits);

// The logits that are sampled from: penalties, bias, bans, mask (empty: all); -inf is forbidden.
Matrix adjusted(const Matrix& logits, const gattling::Sampling& sampling, const std::vector<int32_t>& tokens,
                int n_prompt, const std::vector<uint32_t>& mask);

// Probabilities after temperature, top_k, top_p and min_p, each renormalised.
Matrix distribution(const Matrix& adjusted, const gattling::Sampling& sampling);

}  // namespace reference
