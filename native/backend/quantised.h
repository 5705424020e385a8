// Weights as integers in groups along a row: w = scale * q + offset, one scale and one offset a group. Every quantised
// format of a file is read as this, without loss, and backends pack this.
#pragma once

#include <cstdint>
#include <span>

namespace gattling {

struct HostTensor;

// What dense weights become at load: symmetric integers of 8 bits in groups of 32, or of 4 bits in groups of 32 or 128.
enum class Quantization : uint8_t { None, Int8, Int4, Int4G128 };

// The rows of one stored matrix [n, k].
class Quantised {
 public:
  virtual ~Quantised() = default;

  virtual int bits() const = 0;          // 4: q is in [-8, 7]; 8: in [-128, 127]
  virtual int64_t group() const = 0;     // columns: 16, 32, 64, 128 or k
  virtual bool has_offsets() const = 0;  // otherwise all are 0

  // Groups [first, first + count) of row `row`: q [count * group], scales [count], offsets [count]. A last group that k
  // cuts short is filled up with zeros. Several threads may read at once.
  virtual void read(int64_t row, int64_t first, int64_t count, int8_t* q, float* scales, float* offsets) const = 0;

  // Column c of what read() gives belongs to input order()[c]; empty: to input c (GPTQ's act-order).
  virtual std::span<const int32_t> order() const { return {}; }
};

// Throws Error on a quantised tensor that is not as above.
void check_quantised(const HostTensor& tensor);

// Whether rows of both can lie in one packed weight.
bool quantised_alike(const Quantised& a, const Quantised& b);

// Inputs [col, col + n) of a stored row of k, as plain numbers: scale * q, rounded, plus offset, rounded.
void dequantise(const Quantised& quantised, int64_t k, int64_t row, int64_t col, int64_t n, float* to);

}  // namespace gattling
