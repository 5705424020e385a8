// Sequences in a paged cache of the device, stepped through rope_append and attention, beside a reference in double.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "backend/half.h"
#include "cuda/attention_plan.h"
#include "cuda/kernels/attention.h"
#include "cuda/kernels/rope_append.h"
#include "ops_reference.h"
#include "test.h"

namespace rig {

using namespace gattling;
using namespace gattling::cuda;

constexpr int kSequences = 3;

struct Shape {
  int n_heads;
  int n_kv_heads;
  int head_dim;
  int block_size = 16;
  int window = 0;
  Half half = Half::BF16;
  Half cache = Half::BF16;
  bool deterministic = false;
  int length = 70;  // positions of a sequence
  int n_processors = 1;

  int columns() const { return (n_heads + 2 * n_kv_heads) * head_dim; }
  int out_columns() const { return n_heads * head_dim; }
  double rounding() const { return half == Half::BF16 || cache == Half::BF16 ? 0x1p-8 : 0x1p-11; }
};

struct Part {
  int sequence;
  int start;
  int count;
};

inline float widened(uint16_t bits, Half half) {
  return half == Half::BF16 ? widen(bf16{bits}) : widen(f16{bits});
}
inline uint16_t narrowed(float x, Half half) {
  bf16 b;
  f16 f;
  narrow(x, b);
  narrow(x, f);
  return half == Half::BF16 ? b.bits : f.bits;
}

// In [-1, 1), the same on every run.
inline float value(uint64_t i) {
  i = (i + 1) * 0x9e3779b97f4a7c15u;
  i = (i ^ i >> 29) * 0xbf58476d1ce4e5b9u;
  return static_cast<float>(static_cast<double>(i >> 11) * 0x1p-52 - 1);
}

template <typename T>
void upload(const Buffer& to, const std::vector<T>& from, Stream& stream) {
  stream.copy_to_device(to.as<void>(), from.data(), from.size() * sizeof(T));
  stream.synchronize();
}
template <typename T>
std::vector<T> download(const Buffer& from, Stream& stream) {
  std::vector<T> values(from.bytes() / sizeof(T));
  stream.copy_to_host(values.data(), from.as<void>(), values.size() * sizeof(T));
  stream.synchronize();
  return values;
}

inline StateShape state_of(const Shape& s) {
  StateShape state{};
  state.n_slots = kSequences;
  state.max_rows = kSequences * s.length;
  state.max_blocks = (s.length + s.block_size - 1) / s.block_size;
  state.n_blocks = kSequences * state.max_blocks;
  state.block_size = s.block_size;
  state.n_heads = s.n_heads;
  state.n_kv_heads = s.n_kv_heads;
  state.head_dim = s.head_dim;
  state.sliding_window = s.window;
  for (int i = 0; i < s.head_dim / 2; ++i)
    state.inv_freq.push_back(static_cast<float>(std::pow(10000.0, -2.0 * i / s.head_dim)));
  return state;
}

class Rig {
 public:
  static constexpr int kPastRows = 2;             // rows of the bucket behind the step's own
  static constexpr uint16_t kUntouched = 0x2b2b;  // in `out`

  explicit Rig(const Shape& shape, uint64_t seed = 0)
      : shape_(shape),
        state_(state_of(shape)),
        plan_(state_, {"a device", 80, shape.n_processors, 0}, shape.deterministic) {
    const size_t rows = static_cast<size_t>(state_.max_rows + kPastRows);
    qkv_ = Buffer(rows * qkv_stride() * 2);
    out_ = Buffer(rows * out_stride() * 2);
    positions_ = Buffer(rows * 4);
    slots_ = Buffer(rows * 4);
    tables_ = Buffer(static_cast<size_t>(kSequences * state_.max_blocks) * 4);
    cache_ = Buffer(static_cast<size_t>(state_.n_blocks) * 2 * static_cast<size_t>(shape.n_kv_heads) *
                    static_cast<size_t>(shape.block_size * shape.head_dim) * 2);
    inv_freq_ = Buffer(state_.inv_freq.size() * 4);
    work_ = Buffer(plan_.work_bytes());
    host_work_.resize(plan_.work_bytes() / sizeof(AttentionItem) + 2);
    space_ = Buffer(plan_.space_bytes());
    stream_.fill(space_.as<void>(), 0, space_.bytes());
    upload(inv_freq_, state_.inv_freq, stream_);
    for (int sequence = 0; sequence < kSequences; ++sequence) {
      std::vector<uint16_t> bits(static_cast<size_t>(shape.length * shape.columns()));
      for (size_t i = 0; i < bits.size(); ++i)
        bits[i] = narrowed(value((seed * kSequences + static_cast<uint64_t>(sequence)) << 32 | i), shape.half);
      projections_.push_back(bits);
      outputs_.emplace_back(static_cast<size_t>(shape.length * shape.out_columns()));
    }
    map_blocks(0);
  }

  // Block i of a sequence is at another place for each turn.
  void map_blocks(int turn) {
    std::vector<int32_t> tables;
    for (int sequence = 0; sequence < kSequences; ++sequence)
      for (int i = 0; i < state_.max_blocks; ++i)
        tables.push_back((i * kSequences + sequence + turn * 5) * 7 % state_.n_blocks);
    CHECK(state_.n_blocks % 7 != 0);  // else blocks meet
    upload(tables_, tables, stream_);
  }

  // Sequence 0's first n blocks become those of sequence 1.
  void lose_blocks(int n) {
    std::vector<int32_t> tables = download<int32_t>(tables_, stream_);
    std::copy_n(tables.begin() + state_.max_blocks, n, tables.begin());
    upload(tables_, tables, stream_);
  }

  // What former owners left.
  void fill_cache(uint16_t bits) { upload(cache_, std::vector<uint16_t>(cache_.bytes() / 2, bits), stream_); }

  void append(const std::vector<Part>& parts) {
    write_rows(parts);
    RopeAppendArgs args{};
    args.qkv = qkv_.as<void>();
    args.stride = static_cast<int64_t>(qkv_stride());
    args.half = shape_.half;
    args.n_heads = shape_.n_heads;
    args.step = {nullptr, positions_.as<int32_t>(), slots_.as<int32_t>()};
    args.inv_freq = inv_freq_.as<float>();
    args.cache = cache();
    args.rows = rows_of(parts) + kPastRows;
    rope_append(args, stream_);
  }

  AttentionPlan::Made plan(const std::vector<Part>& parts) {
    std::vector<Slice> slices;
    for (const Part& part : parts)
      slices.push_back({part.sequence, part.start, part.count, false, false, -1, 0, 0, {}});
    const AttentionPlan::Made made = plan_.make(slices, host_work_.data());
    stream_.copy_to_device(work_.as<void>(), host_work_.data(), made.bytes);
    return made;
  }

  AttentionArgs args(AttentionTile tile) {
    return {qkv_.as<void>(),
            static_cast<int64_t>(qkv_stride()),
            out_.as<void>(),
            static_cast<int64_t>(out_stride()),
            shape_.half,
            cache(),
            shape_.n_heads,
            shape_.window,
            work_.as<AttentionWork>(),
            plan_.space(tile, space_.as<void>())};
  }

  void step(const std::vector<Part>& parts) {
    append(parts);
    const AttentionPlan::Made made = plan(parts);
    if (made.decode) attention_decode(args(AttentionTile::Decode), stream_);
    if (made.prefill) attention_prefill(args(AttentionTile::Prefill), stream_);
    read_rows(parts);
  }

  // Every sequence in chunks, together in a step, in this order.
  void all(int chunk, const std::vector<int>& order, int from = 0) {
    for (int start = from; start < shape_.length; start += chunk) {
      std::vector<Part> parts;
      for (int sequence : order) parts.push_back({sequence, start, std::min(chunk, shape_.length - start)});
      step(parts);
    }
  }

  void read_rows(const std::vector<Part>& parts) {
    const std::vector<uint16_t> out = download<uint16_t>(out_, stream_);
    size_t row = 0;
    for (const Part& part : parts)
      for (int i = 0; i < part.count; ++i, ++row) {
        const auto from = out.begin() + static_cast<ptrdiff_t>(row * out_stride());
        std::copy(from, from + shape_.out_columns(),
                  outputs_[static_cast<size_t>(part.sequence)].begin() + (part.start + i) * shape_.out_columns());
        CHECK(std::all_of(from + shape_.out_columns(), from + static_cast<ptrdiff_t>(out_stride()), untouched));
      }
    CHECK(std::all_of(out.begin() + static_cast<ptrdiff_t>(row * out_stride()), out.end(), untouched));
  }

  // The largest error of rows [from, length), relative to the largest result.
  double error(int sequence, int from = 0) const {
    double worst = 0, largest = 0;
    std::vector<reference::Matrix> keys, values;
    gather(sequence, keys, values);
    for (int position = from; position < shape_.length; ++position)
      for (int h = 0; h < shape_.n_heads; ++h) {
        const size_t kv = static_cast<size_t>(h / (shape_.n_heads / shape_.n_kv_heads));
        const int first = shape_.window > 0 ? std::max(0, position + 1 - shape_.window) : 0;
        const auto seen = [&](const reference::Matrix& m) {
          return reference::Matrix(m.begin() + first * shape_.head_dim, m.begin() + (position + 1) * shape_.head_dim);
        };
        const reference::Matrix want = reference::attend(
            reference::rope(head(sequence, position, h), state_.inv_freq, position), seen(keys[kv]), seen(values[kv]));
        for (int i = 0; i < shape_.head_dim; ++i) {
          const double have = result(sequence, position, h * shape_.head_dim + i);
          const double off = std::fabs(have - want[static_cast<size_t>(i)]);
          worst = std::max(worst, std::isfinite(have) ? off : 1e30);
          largest = std::max(largest, std::fabs(want[static_cast<size_t>(i)]));
        }
      }
    return worst / largest;
  }

  double result(int sequence, int position, int column) const {
    return widened(
        outputs_[static_cast<size_t>(sequence)][static_cast<size_t>(position * shape_.out_columns() + column)],
        shape_.half);
  }
  const std::vector<uint16_t>& outputs(int sequence) const { return outputs_[static_cast<size_t>(sequence)]; }
  const AttentionWork& work() const { return *reinterpret_cast<const AttentionWork*>(host_work_.data()); }
  const AttentionItem* items() const { return reinterpret_cast<const AttentionItem*>(&work() + 1); }
  Stream& stream() { return stream_; }
  AttentionPlan& maker() { return plan_; }

 private:
  static bool untouched(uint16_t bits) { return bits == kUntouched; }
  static int rows_of(const std::vector<Part>& parts) {
    int rows = 0;
    for (const Part& part : parts) rows += part.count;
    return rows;
  }
  size_t qkv_stride() const { return static_cast<size_t>((shape_.columns() + 63) / 64 * 64); }
  size_t out_stride() const { return static_cast<size_t>(shape_.out_columns() / 64 * 64 + 64); }

  PagedCache cache() const {
    return {cache_.as<void>(), shape_.cache,          shape_.n_kv_heads, shape_.block_size,
            shape_.head_dim,   tables_.as<int32_t>(), state_.max_blocks};
  }

  void write_rows(const std::vector<Part>& parts) {
    std::vector<uint16_t> rows((static_cast<size_t>(rows_of(parts) + kPastRows)) * qkv_stride());
    std::vector<int32_t> positions, slots;
    for (const Part& part : parts)
      for (int i = 0; i < part.count; ++i) {
        const auto from =
            projections_[static_cast<size_t>(part.sequence)].begin() + (part.start + i) * shape_.columns();
        std::copy(from, from + shape_.columns(),
                  rows.begin() + static_cast<ptrdiff_t>(positions.size() * qkv_stride()));
        positions.push_back(part.start + i);
        slots.push_back(part.sequence);
      }
    positions.resize(positions.size() + kPastRows, 1 << 30);  // must not be looked at
    slots.resize(positions.size(), -1);
    upload(qkv_, rows, stream_);
    upload(positions_, positions, stream_);
    upload(slots_, slots, stream_);
    upload(out_, std::vector<uint16_t>(out_.bytes() / 2, kUntouched), stream_);
  }

  reference::Matrix head(int sequence, int position, int index) const {
    reference::Matrix out;
    for (int i = 0; i < shape_.head_dim; ++i) {
      const int at = position * shape_.columns() + index * shape_.head_dim + i;
      out.push_back(widened(projections_[static_cast<size_t>(sequence)][static_cast<size_t>(at)], shape_.half));
    }
    return out;
  }

  void gather(int sequence, std::vector<reference::Matrix>& keys, std::vector<reference::Matrix>& values) const {
    keys.resize(static_cast<size_t>(shape_.n_kv_heads));
    values.resize(keys.size());
    for (int position = 0; position < shape_.length; ++position)
      for (size_t h = 0; h < keys.size(); ++h) {
        const int index = shape_.n_heads + static_cast<int>(h);
        const reference::Matrix k = reference::rope(head(sequence, position, index), state_.inv_freq, position);
        const reference::Matrix v = head(sequence, position, index + shape_.n_kv_heads);
        keys[h].insert(keys[h].end(), k.begin(), k.end());
        values[h].insert(values[h].end(), v.begin(), v.end());
      }
  }

  Shape shape_;
  StateShape state_;
  AttentionPlan plan_;
  Stream stream_;
  Buffer qkv_, out_, positions_, slots_, tables_, cache_, inv_freq_, work_, space_;
  std::vector<AttentionItem> host_work_;
  std::vector<std::vector<uint16_t>> projections_;  // [sequences][length, columns]
  std::vector<std::vector<uint16_t>> outputs_;      // [sequences][length, out_columns]
};

}  // namespace rig
