#include "model/packed_linear.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <utility>
#include <vector>

#include "backend/error.h"
#include "backend/half.h"
#include "model/json.h"

namespace gattling {
namespace {

using Method = PackedFormat::Method;

// Which of a word's integers holds output o of 8, in AWQ.
constexpr std::array<int, 8> kAwqPlaces = {0, 4, 1, 5, 2, 6, 3, 7};

template <typename T>
T load(const std::byte* at, int64_t index) {
  T value;
  std::memcpy(&value, at + static_cast<size_t>(index) * sizeof(T), sizeof(T));
  return value;
}

float number(const HostTensor& tensor, int64_t index) {
  if (tensor.dtype == DType::F32) return load<float>(tensor.data, index);
  if (tensor.dtype == DType::BF16) return widen(load<bf16>(tensor.data, index));
  return widen(load<f16>(tensor.data, index));
}

// What the words say, by input and output.
class Words {
 public:
  Words(const PackedFormat& format, const PackedParts& parts)
      : awq_(format.method == Method::Awq),
        bits_(format.bits),
        shift_(format.bits == 8 ? 2 : 3),
        n_(parts.scales->shape[1]),
        zero_of_0_(format.less_one ? 1 : 0),
        weights_(parts.qweight->data),
        zeros_(parts.qzeros->data) {}

  int integer(int64_t input, int64_t output) const {
    return awq_ ? of_row(weights_, input, output)
                : cut(load<uint32_t>(weights_, (input >> shift_) * n_ + output), place_of(input));
  }
  // Whether all zero points are `value`: of a word all its numbers at once.
  bool zeros_are(int value, int64_t n_groups) const {
    const uint32_t ones = bits_ == 8 ? 0x01010101u : 0x11111111u,
                   word = ones * static_cast<uint32_t>(value - zero_of_0_);
    for (int64_t i = 0; i < n_groups * (n_ >> shift_); ++i)
      if (load<uint32_t>(zeros_, i) != word) return false;
    return true;
  }
  // A zero point of 0 less one is stored as the largest number.
  int zero(int64_t group, int64_t output) const {
    return (of_row(zeros_, group, output) + zero_of_0_) & ((1 << bits_) - 1);
  }

 private:
  int of_row(const std::byte* words, int64_t row, int64_t output) const {
    const int place = place_of(output);
    return cut(load<uint32_t>(words, row * (n_ >> shift_) + (output >> shift_)),
               awq_ ? kAwqPlaces[static_cast<size_t>(place)] : place);
  }
  int place_of(int64_t index) const { return static_cast<int>(index & ((1 << shift_) - 1)); }
  int cut(uint32_t word, int place) const { return static_cast<int>(word >> (place * bits_) & ((1u << bits_) - 1)); }

  bool awq_;
  int bits_;
  int shift_;  // a word holds 1 << shift_ integers
  int64_t n_;
  int zero_of_0_;
  const std::byte* weights_;
  const std::byte* zeros_;
};

class PackedIntegers final : public Quantised {
 public:
  PackedIntegers(const PackedFormat& format, const PackedParts& parts, int64_t k, int64_t group,
                 std::vector<int32_t> order)
      : words_(format, parts),
        bits_(format.bits),
        k_(k),
        group_(group),
        n_groups_(parts.scales->shape[0]),
        scales_(*parts.scales),
        order_(std::move(order)) {
    has_offsets_ = !words_.zeros_are(middle(), n_groups_);
  }

  int bits() const override { return bits_; }
  int64_t group() const override { return group_; }
  bool has_offsets() const override { return has_offsets_; }
  std::span<const int32_t> order() const override { return order_; }

  void read(int64_t row, int64_t first, int64_t count, int8_t* q, float* scales, float* offsets) const override {
    for (int64_t group = first; group < first + count; ++group, q += group_) {
      const int64_t begin = group * group_, n = std::min(group_, k_ - begin);
      for (int64_t i = 0; i < n; ++i) {
        const int64_t input = order_.empty() ? begin + i : order_[static_cast<size_t>(begin + i)];
        q[i] = static_cast<int8_t>(words_.integer(input, row) - middle());
      }
      std::fill(q + n, q + group_, int8_t{0});
      *scales = number(scales_, group * scales_.shape[1] + row);
      *offsets++ = *scales * static_cast<float>(middle() - words_.zero(group, row));
      ++scales;
    }
  }

 private:
  int middle() const { return 1 << (bits_ - 1); }

  Words words_;
  int bits_;
  int64_t k_, group_, n_groups_;
  HostTensor scales_;
  std::vector<int32_t> order_;
  bool has_offsets_ = false;
};

class PartsReader {
 public:
  PartsReader(const PackedFormat& format, const std::string& name, const PackedParts& parts, const std::string& where)
      : format_(format), name_(name), parts_(parts), where_(where) {}

  PackedLinear read() const {
    const int64_t per_word = 32 / format_.bits;
    const bool awq = format_.method == Method::Awq;
    for (const HostTensor* tensor : {parts_.qweight, parts_.qzeros, parts_.scales})
      check(tensor->shape.size() == 2 && tensor->size() > 0, at(*tensor), " has ", tensor->shape.size(),
            " dimensions or none of size; it has 2");
    const HostTensor &qweight = *parts_.qweight, &scales = *parts_.scales;
    check_type(qweight, true);
    check_type(*parts_.qzeros, true);
    check_type(scales, false);
    const int64_t n = scales.shape[1], k = awq ? qweight.shape[0] : qweight.shape[0] * per_word;
    const int64_t group = format_.group == 0 ? k : format_.group, n_groups = (k + group - 1) / group;
    check_shape(qweight, awq ? k : k / per_word, awq ? n / per_word : n);
    check_shape(scales, n_groups, n);
    check_shape(*parts_.qzeros, n_groups, n / per_word);
    check(n % per_word == 0, at(scales), " is for ", n, " outputs; expected is a multiple of ", per_word);

    PackedLinear linear;
    linear.quantised = std::make_unique<PackedIntegers>(format_, parts_, k, group,
                                                        parts_.g_idx ? order(k, group) : std::vector<int32_t>());
    linear.tensor = {name_ + ".weight", scales.dtype, {n, k}, qweight.data, linear.quantised.get(), qweight.bytes()};
    return linear;
  }

 private:
  std::string at(const HostTensor& tensor) const { return concat(where_, ": tensor ", in_quotes(tensor.name)); }

  void check_type(const HostTensor& tensor, bool integers) const {
    check((tensor.dtype == DType::Int32) == integers, at(tensor), " is stored as ", name_of(tensor.dtype),
          "; expected ", integers ? "is int32" : "are float32, bfloat16 or float16");
  }

  void check_shape(const HostTensor& tensor, int64_t rows, int64_t cols) const {
    check(tensor.shape[0] == rows && tensor.shape[1] == cols, at(tensor), " has the shape [", tensor.shape[0], ", ",
          tensor.shape[1], "]; expected beside the other tensors of ", name_, ", by ", format_.source, ", is [", rows,
          ", ", cols, "]");
  }

  // Inputs by their groups, each group in ascending order; empty when that is the order of the inputs.
  std::vector<int32_t> order(int64_t k, int64_t group) const {
    const HostTensor& tensor = *parts_.g_idx;
    check_type(tensor, true);
    check(tensor.shape == std::vector<int64_t>{k}, at(tensor), " must have ", k, " elements, one an input");
    const int64_t n_groups = (k + group - 1) / group;
    std::vector<int64_t> next(static_cast<size_t>(n_groups));  // where the next input of a group goes
    for (int64_t i = 0; i < n_groups; ++i) next[static_cast<size_t>(i)] = i * group;
    std::vector<int32_t> order(static_cast<size_t>(k));
    for (int64_t input = 0; input < k; ++input) {
      const int32_t in = load<int32_t>(tensor.data, input);
      check(in >= 0 && in < n_groups, at(tensor), " puts input ", input, " into group ", in, " of ", n_groups);
      int64_t& place = next[static_cast<size_t>(in)];
      check(place < std::min(k, (in + 1) * group), at(tensor), " puts more than ", group, " inputs into group ", in);
      order[static_cast<size_t>(place++)] = static_cast<int32_t>(input);
    }
    return std::ranges::is_sorted(order) ? std::vector<int32_t>() : order;
  }

  const PackedFormat& format_;
  const std::string& name_;
  const PackedParts& parts_;
  const std::string& where_;
};

}  // namespace

PackedLinear packed_linear(const PackedFormat& format, const std::string& name, const PackedParts& parts,
                           const std::string& where) {
  return PartsReader(format, name, parts, where).read();
}

}  // namespace gattling
