// Weights on the device. Integers of linear weights stay integers where all parts are quantised alike and in order
// (kernels/linear.h: LinearInts); what else is quantised is dequantised. A linear weight or a table [n, k] lies as
// Hugging Face stores it, in the 16-bit type of the arithmetic, its rows padded with zeros to stride_of(k); norms and
// biases are fp32. Gate and up are interleaved, eight rows of one and eight of the other, where their count allows:
// then the matmul itself can end with SwiGLU.
#pragma once

#include <memory>
#include <span>

#include "backend/parts.h"
#include "backend/quantise.h"
#include "cuda/kernels/common.h"

namespace gattling::cuda {

// Elements from row to row, of weights and of activations.
constexpr int64_t stride_of(int64_t cols) {
  return (cols + 63) / 64 * 64;
}

struct CudaWeight final : Weight {
  int64_t n = 0;
  int64_t k = 0;
  bool interleaved = false;  // of gate and up
  Buffer data;
  Buffer bias;             // [n] or empty
  Buffer scales, offsets;  // of integers
  int bits = 0;            // 4 or 8 of integers, else 0
  int group_shift = 0;

  // As plain weights; 0 of what is plain.
  size_t widened_bytes() const { return bits > 0 ? static_cast<size_t>(n * stride_of(k)) * sizeof(uint16_t) : 0; }
  size_t bytes() const override { return data.bytes() + bias.bytes() + scales.bytes() + offsets.bytes(); }
};

// The source's row that lies at row `at` of a weight.
int64_t packed_source_row(const CudaWeight& weight, int64_t at);

// Uses whose weights may be integers. Not tables, of which rows are read, nor heads, which may be tables too.
bool takes_ints(Use use);

// Whether a source stays integers.
bool packs_ints(Use use, const Source& source);

// Streams weights through two page-locked buffers: one is filled while the other is copied.
class Packer {
 public:
  explicit Packer(Stream& stream) : stream_(&stream) {}

  // One rank's part, of which integers are made where `quantization` asks for them. Throws Error on parts that do not
  // belong together.
  std::unique_ptr<CudaWeight> pack(Use use, std::span<const HostTensor> parts, Shard shard, Half half,
                                   Quantization quantization);

 private:
  static constexpr size_t kChunk = size_t{32} << 20;

  // A part of a buffer, of `bytes` at most kChunk, that no copy reads any more.
  std::byte* stage(size_t bytes);
  void send(void* to, size_t bytes);
  template <typename T>
  Buffer send_all(const std::vector<T>& values);
  template <typename T>
  void pack_plain(const Source& source, CudaWeight& weight);
  void pack_ints(const Source& source, CudaWeight& weight);
  template <typename T>
  void send_rows(const Source& source, const CudaWeight& weight, int64_t stride, T* to);

  struct Stage {
    HostBuffer buffer;
    Event copied;
  };
  Stream* stream_;
  Stage stages_[2];
  int turn_ = 0;
};

}  // namespace gattling::cuda
