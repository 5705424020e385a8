#include "cuda/pack.h"

#include <algorithm>
#include <cstring>

namespace gattling::cuda {
namespace {

constexpr int64_t kInterleaved = 8;  // rows, as linear.h has it

}  // namespace

int64_t packed_source_row(const CudaWeight& weight, int64_t at) {
  if (!weight.interleaved) return at;
  const int64_t pair = at / (2 * kInterleaved), within = at % (2 * kInterleaved);
  const int64_t row = pair * kInterleaved + within % kInterleaved;
  return within < kInterleaved ? row : weight.n / 2 + row;
}

std::byte* Packer::stage(size_t bytes) {
  turn_ ^= 1;
  Stage& stage = stages_[turn_];
  if (stage.buffer.bytes() > 0) stage.copied.wait();
  if (stage.buffer.bytes() < bytes) stage.buffer = HostBuffer(std::max(bytes, kChunk));
  return stage.buffer.as<std::byte>();
}

void Packer::send(void* to, size_t bytes) {
  Stage& stage = stages_[turn_];
  stream_->copy_to_device(to, stage.buffer.as<std::byte>(), bytes);
  stage.copied.record(*stream_);
}

template <typename T>
void Packer::send_rows(const Source& source, const CudaWeight& weight, int64_t stride, T* to) {
  const size_t row_bytes = static_cast<size_t>(stride) * sizeof(T);
  const int64_t at_once = static_cast<int64_t>(std::max<size_t>(1, kChunk / row_bytes));
  for (int64_t first = 0; first < source.n; first += at_once) {
    const int64_t count = std::min(at_once, source.n - first);
    const size_t bytes = static_cast<size_t>(count) * row_bytes;
    T* rows = reinterpret_cast<T*>(stage(bytes));
    for (int64_t i = 0; i < count; ++i) {
      T* row = rows + i * stride;
      read_source(source, packed_source_row(weight, first + i), 0, source.k, row);
      std::fill(row + source.k, row + stride, T{});
    }
    send(to + first * stride, bytes);
  }
}

template <typename T>
void Packer::pack_plain(const Source& source, CudaWeight& weight) {
  const int64_t stride = stride_of(source.k);
  weight.data = Buffer(static_cast<size_t>(source.n * stride) * sizeof(T));
  send_rows(source, weight, stride, weight.data.as<T>());
}

std::unique_ptr<CudaWeight> Packer::pack(Use use, std::span<const HostTensor> stored, Shard shard, Half half,
                                         Quantization quantization) {
  const QuantisedParts quantised(use, stored, takes_ints(use) ? quantization : Quantization::None);
  const std::span<const HostTensor> parts = quantised.parts();
  const Source source = source_of(use, parts, shard);
  auto weight = std::make_unique<CudaWeight>();
  weight->n = source.n;
  weight->k = source.k;
  if (use == Use::Norm) {
    weight->data = Buffer(static_cast<size_t>(source.k) * sizeof(float));
    send_rows(source, *weight, source.k, weight->data.as<float>());
    return weight;
  }
  weight->interleaved = use == Use::GateUp && source.n % (2 * kInterleaved) == 0;
  if (packs_ints(use, source))
    pack_ints(source, *weight);
  else if (half == Half::BF16)
    pack_plain<bf16>(source, *weight);
  else
    pack_plain<f16>(source, *weight);
  const std::vector<float> biases = read_biases(use, parts, source, shard);
  if (!biases.empty()) {
    const size_t bytes = biases.size() * sizeof(float);
    weight->bias = Buffer(bytes);
    std::memcpy(stage(bytes), biases.data(), bytes);
    send(weight->bias.as<void>(), bytes);
  }
  return weight;
}

}  // namespace gattling::cuda
