// Packs integers into words as AutoGPTQ and AutoAWQ do, column by column, and writes the tensors of a layer.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "backend/error.h"
#include "backend/half.h"
#include "files.h"

namespace test {

// w [n, k] = scale * (q - zero), of inputs in groups.
struct PackedLayer {
  int bits = 4;
  int64_t n = 16, k = 64, group = 32;
  std::vector<int> q;           // [k][n]
  std::vector<int> zeros;       // [groups][n]
  std::vector<float> scales;    // [groups][n], as fp16 holds them
  std::vector<int32_t> groups;  // [k]

  int64_t n_groups() const { return (k + group - 1) / group; }
  float weight(int64_t output, int64_t input) const {
    const auto at = static_cast<size_t>(groups[static_cast<size_t>(input)] * n + output);
    return scales[at] * static_cast<float>(q[static_cast<size_t>(input * n + output)] - zeros[at]);
  }
};

inline float as_half(float value) {
  gattling::f16 half;
  gattling::narrow(value, half);
  return gattling::widen(half);
}

// Weights of about `size`; zero points in the middle when symmetric; with act_order inputs of each group are anywhere.
inline PackedLayer random_layer(std::mt19937& random, int bits, int64_t n, int64_t k, int64_t group, bool symmetric,
                                bool act_order, float size = 1) {
  PackedLayer layer{bits, n, k, group, {}, {}, {}, {}};
  const int middle = 1 << (bits - 1);
  for (int64_t i = 0; i < n * k; ++i) layer.q.push_back(static_cast<int>(random() % (2u * middle)));
  for (int64_t i = 0; i < n * layer.n_groups(); ++i) {
    layer.zeros.push_back(symmetric ? middle : static_cast<int>(random() % (2u * middle)));
    layer.scales.push_back(
        as_half(size / static_cast<float>(middle) * (0.5f + static_cast<float>(random() % 1000) / 1000)));
  }
  for (int64_t i = 0; i < k; ++i) layer.groups.push_back(static_cast<int32_t>(i / group));
  if (act_order) std::shuffle(layer.groups.begin(), layer.groups.end(), random);
  return layer;
}

inline std::string words_in_bytes(const std::vector<uint32_t>& words) {
  std::string bytes;
  for (uint32_t word : words)
    for (int i = 0; i < 4; ++i) bytes += static_cast<char>(word >> (8 * i));
  return bytes;
}

// values [rows][cols] -> words [rows / p][cols], or along the columns with the places of `order` [rows][cols / p].
inline std::string pack_rows(const std::vector<int>& values, int64_t cols, int bits) {
  const int64_t p = 32 / bits, rows = static_cast<int64_t>(values.size()) / cols;
  std::vector<uint32_t> words(static_cast<size_t>(rows / p * cols));
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t col = 0; col < cols; ++col)
      words[static_cast<size_t>(row / p * cols + col)] |=
          static_cast<uint32_t>(values[static_cast<size_t>(row * cols + col)]) << (row % p * bits);
  return words_in_bytes(words);
}

inline std::string pack_cols(const std::vector<int>& values, int64_t cols, int bits, const std::vector<int>& order) {
  const int64_t p = 32 / bits, rows = static_cast<int64_t>(values.size()) / cols;
  std::vector<uint32_t> words;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t col = 0; col < cols / p; ++col) {
      uint32_t word = 0;
      for (int64_t i = 0; i < p; ++i)
        word |= static_cast<uint32_t>(values[static_cast<size_t>(row * cols + col * p + order[static_cast<size_t>(i)])])
                << (i * bits);
      words.push_back(word);
    }
  return words_in_bytes(words);
}

inline const std::vector<int> kAwqOrder = {0, 2, 4, 6, 1, 3, 5, 7};
inline const std::vector<int> kPlainOrder = {0, 1, 2, 3, 4, 5, 6, 7};

// A safetensors file under construction.
class SafetensorsBytes {
 public:
  void add(const std::string& name, const std::string& dtype, const std::vector<int64_t>& shape,
           const std::string& bytes) {
    std::string extents;
    for (int64_t extent : shape) extents += gattling::concat(extents.empty() ? "" : ",", extent);
    header_ += gattling::concat(header_.empty() ? "" : ",", '"', name, R"(":{"dtype":")", dtype, R"(","shape":[)",
                                extents, R"(],"data_offsets":[)", data_.size(), ',', data_.size() + bytes.size(), "]}");
    data_ += bytes;
  }

  void add_scales(const std::string& name, const PackedLayer& layer) {
    std::string bytes;
    for (float scale : layer.scales) {
      gattling::f16 half;
      gattling::narrow(scale, half);
      bytes += static_cast<char>(half.bits);
      bytes += static_cast<char>(half.bits >> 8);
    }
    add(name + ".scales", "F16", {layer.n_groups(), layer.n}, bytes);
  }

  // less_one: as of checkpoint_format "gptq".
  void add_gptq(const std::string& name, const PackedLayer& layer, bool less_one = true, bool with_groups = true) {
    const int64_t p = 32 / layer.bits;
    std::vector<int> zeros = layer.zeros;
    for (int& zero : zeros) zero = (zero - less_one) & ((1 << layer.bits) - 1);
    add(name + ".qweight", "I32", {layer.k / p, layer.n}, pack_rows(layer.q, layer.n, layer.bits));
    add(name + ".qzeros", "I32", {layer.n_groups(), layer.n / p}, pack_cols(zeros, layer.n, layer.bits, kPlainOrder));
    add_scales(name, layer);
    if (with_groups) add(name + ".g_idx", "I32", {layer.k}, words_in_bytes({layer.groups.begin(), layer.groups.end()}));
  }

  void add_awq(const std::string& name, const PackedLayer& layer) {
    add(name + ".qweight", "I32", {layer.k, layer.n / 8}, pack_cols(layer.q, layer.n, 4, kAwqOrder));
    add(name + ".qzeros", "I32", {layer.n_groups(), layer.n / 8}, pack_cols(layer.zeros, layer.n, 4, kAwqOrder));
    add_scales(name, layer);
  }

  std::string bytes() const { return safetensors("{" + header_ + "}", data_); }

 private:
  std::string header_, data_;
};

}  // namespace test
