#include "model/safetensors.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "backend/error.h"
#include "model/json.h"

namespace gattling {
namespace {

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeader = 100'000'000;  // the format's own limit

// The entry of one tensor in a header.
class EntryReader {
 public:
  EntryReader(const std::string& path, const std::string& name, const Json& entry)
      : where_(concat(path, ": tensor ", in_quotes(name))), name_(name), entry_(entry) {
    check(entry.is_object(), where_, " must be an object, not ", entry.describe());
  }

  // `data` is what follows the header.
  HostTensor read(std::span<const std::byte> data) const {
    HostTensor tensor{name_, dtype(), shape(), nullptr};
    const Json::Array& offsets = pair("data_offsets");
    const uint64_t begin = natural(offsets[0], "data_offsets"), end = natural(offsets[1], "data_offsets");
    check(begin <= end, where_, " has data_offsets [", begin, ", ", end, "], which end before they begin");
    check(end <= data.size(), where_, " ends at byte ", end, " of the data, but the file holds ", data.size(),
          " bytes of data");
    const uint64_t expected = bytes(tensor);
    check(expected == end - begin, where_, " takes ", expected,
          " bytes by its shape and dtype, but its data_offsets span ", end - begin);
    tensor.data = data.data() + begin;
    return tensor;
  }

 private:
  const Json& member(std::string_view key) const {
    const Json* value = entry_.find(key);
    check(value, where_, " has no ", in_quotes(key));
    return *value;
  }

  uint64_t natural(const Json& value, std::string_view key) const {
    check(value.is_integer() && value.integer() >= 0, where_, " has ", value.describe(), " in its ", key,
          ", where an integer from 0 is expected");
    return static_cast<uint64_t>(value.integer());
  }

  const Json::Array& pair(std::string_view key) const {
    const Json& value = member(key);
    check(value.is_array() && value.array().size() == 2, where_, " must have an array of two integers as its ", key);
    return value.array();
  }

  DType dtype() const {
    const Json& value = member("dtype");
    if (value.is_string()) {
      if (value.string() == "F32") return DType::F32;
      if (value.string() == "BF16") return DType::BF16;
      if (value.string() == "F16") return DType::F16;
      if (value.string() == "I32") return DType::Int32;
    }
    fail(where_, " has as its dtype ", value.describe(),
         "; supported are F32, BF16 and F16, and I32 for packed integers");
  }

  std::vector<int64_t> shape() const {
    const Json& value = member("shape");
    check(value.is_array(), where_, " must have an array as its shape, not ", value.describe());
    std::vector<int64_t> shape;
    for (const Json& extent : value.array()) shape.push_back(static_cast<int64_t>(natural(extent, "shape")));
    return shape;
  }

  uint64_t bytes(const HostTensor& tensor) const {
    int64_t n = static_cast<int64_t>(size_of(tensor.dtype));
    for (int64_t extent : tensor.shape)
      check(!__builtin_mul_overflow(n, extent, &n), where_, " has a shape of more than 2^63 bytes");
    return static_cast<uint64_t>(n);
  }

  std::string where_;
  const std::string& name_;
  const Json& entry_;
};

uint64_t header_length(std::span<const std::byte> file, const std::string& path) {
  check(file.size() >= kLengthBytes, path, " holds ", file.size(),
        " bytes, but a safetensors file begins with an 8-byte header length");
  uint64_t length = 0;
  for (uint64_t i = 0; i < kLengthBytes; ++i) length |= std::to_integer<uint64_t>(file[i]) << (8 * i);
  check(length <= kMaxHeader, path, " says that its header has ", length, " bytes; at most ", kMaxHeader,
        " are allowed, so this is no safetensors file or it is damaged");
  check(length <= file.size() - kLengthBytes, path, " says that its header has ", length, " bytes, but only ",
        file.size() - kLengthBytes, " follow; the file is truncated");
  check(length > 0 && file[kLengthBytes] == std::byte{'{'}, path, " has a header that does not begin with '{'");
  return length;
}

// In the order of their data every tensor begins where the last one ended, and the last one ends the file.
void check_contiguous(const std::vector<HostTensor>& tensors, std::span<const std::byte> data,
                      const std::string& path) {
  size_t end = 0;
  for (const HostTensor& tensor : tensors) {
    const size_t begin = static_cast<size_t>(tensor.data - data.data());
    check(begin == end, path, ": tensor ", in_quotes(tensor.name), " begins at byte ", begin, " of the data, but ",
          begin < end ? "the tensor before it ends at " : "nothing describes the bytes from ", end);
    end = begin + tensor.bytes();
  }
  check(end == data.size(), path, " holds ", data.size(), " bytes of data, but its tensors end at byte ", end);
}

}  // namespace

std::vector<HostTensor> parse_safetensors(std::span<const std::byte> file, const std::string& path) {
  const uint64_t length = header_length(file, path);
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kLengthBytes, length);
  const std::span<const std::byte> data = file.subspan(kLengthBytes + length);
  const Json header = Json::parse(text, "the header of " + path);
  std::vector<HostTensor> tensors;
  for (const auto& [name, entry] : header.object())
    if (name != "__metadata__") tensors.push_back(EntryReader(path, name, entry).read(data));
  // An empty tensor comes before the one that begins where it does.
  std::sort(tensors.begin(), tensors.end(), [](const HostTensor& a, const HostTensor& b) {
    return std::pair(a.data, a.bytes()) < std::pair(b.data, b.bytes());
  });
  check_contiguous(tensors, data, path);
  return tensors;
}

TensorFile open_safetensors(const std::string& path) {
  MappedFile file(path);
  std::vector<HostTensor> tensors = parse_safetensors(file.bytes(), path);
  return {std::move(file), std::move(tensors)};
}

}  // namespace gattling
