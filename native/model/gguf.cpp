#include "model/gguf.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_set>

#include "backend/error.h"
#include "model/gguf_types.h"
#include "model/json.h"

namespace gattling {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are read as they lie in the file");

constexpr uint64_t kDefaultAlignment = 32;
constexpr uint32_t kMaxDims = 4;
// The least bytes of an entry: they bound what a count can make the reader do.
constexpr uint64_t kMinField = 8 + 1 + 4 + 1;       // key, type, a bool
constexpr uint64_t kMinTensor = 8 + 1 + 4 + 4 + 8;  // name, number of dimensions, type, offset
constexpr uint64_t kMinString = 8;

template <typename T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

// Reads on from a place in the file; every read is checked against its end.
class Cursor {
 public:
  Cursor(std::span<const std::byte> file, const std::string& path) : file_(file), path_(path) {}

  std::string where;  // what is being read, for errors

  uint64_t at() const { return at_; }
  uint64_t left() const { return file_.size() - at_; }

  std::span<const std::byte> take(uint64_t n) {
    check(n <= left(), path_, ": ", where, " takes ", n, " bytes from byte ", at_, " on, but the file ends after ",
          left(), "; it is truncated or damaged");
    const std::span<const std::byte> out = file_.subspan(at_, n);
    at_ += n;
    return out;
  }

  template <typename T>
  T number() {
    return load<T>(take(sizeof(T)).data());
  }

  std::string_view string() {
    const std::span<const std::byte> bytes = take(number<uint64_t>());
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  // A number of entries of at least `least` bytes each.
  uint64_t count(const char* what, uint64_t least) {
    const uint64_t n = number<uint64_t>();
    check(n <= left() / least, path_, ": ", where, " says that ", n, ' ', what, " follow, but only ", left(),
          " bytes do; it is truncated or damaged");
    return n;
  }

  template <typename... Parts>
  [[noreturn]] void wrong(const Parts&... parts) const {
    fail(path_, ": ", where, parts...);
  }

 private:
  std::span<const std::byte> file_;
  const std::string& path_;
  uint64_t at_ = 0;
};

GgufType read_type(Cursor& cursor) {
  const auto type = cursor.number<uint32_t>();
  if (type > static_cast<uint32_t>(GgufType::Float64)) cursor.wrong(" has the type ", type, "; expected is 0 to 12");
  return static_cast<GgufType>(type);
}

GgufValue read_value(Cursor& cursor) {
  GgufValue value;
  value.type = read_type(cursor);
  if (value.type == GgufType::Array) {
    value.is_array = true;
    value.type = read_type(cursor);
    if (value.type == GgufType::Array) cursor.wrong(" is an array of arrays; expected is one of numbers or strings");
    value.n = cursor.count("elements", std::max<uint64_t>(size_of(value.type), 1));
  }
  if (value.type != GgufType::String) {
    value.data = cursor.take(value.n * size_of(value.type));
    return value;
  }
  // The bytes of strings are known once all are walked.
  Cursor walk = cursor;
  if (value.n > walk.left() / kMinString) walk.take(value.n * kMinString);
  for (uint64_t i = 0; i < value.n; ++i) walk.string();
  value.data = cursor.take(walk.at() - cursor.at());
  return value;
}

uint32_t read_header(Cursor& cursor, const std::string& path) {
  cursor.where = "the header";
  const std::span<const std::byte> magic = cursor.take(4);
  const std::string_view text(reinterpret_cast<const char*>(magic.data()), magic.size());
  check(text == "GGUF", path, " begins with ", in_quotes(text), "; a GGUF file begins with \"GGUF\"");
  const auto version = cursor.number<uint32_t>();
  check(version == 0 || (version & 0xFFFF) != 0, path, " is a big-endian GGUF file; expected is a little-endian one");
  check(version == 2 || version == 3, path, " is GGUF of version ", version, "; supported are the versions 2 and 3");
  return version;
}

std::vector<GgufField> read_metadata(Cursor& cursor, uint64_t n, const std::string& path) {
  std::vector<GgufField> fields;
  std::unordered_set<std::string_view> keys;
  for (uint64_t i = 0; i < n; ++i) {
    cursor.where = concat("metadata entry ", i + 1, " of ", n);
    const std::string_view key = cursor.string();
    if (key.empty()) cursor.wrong(" has an empty key");
    cursor.where = concat("the value of ", in_quotes(key));
    fields.push_back({key, read_value(cursor)});
    check(keys.insert(key).second, path, ": the key ", in_quotes(key), " appears more than once");
  }
  return fields;
}

uint64_t alignment_of(const GgufContents& contents, const std::string& path) {
  const GgufValue* value = contents.find("general.alignment");
  if (!value) return kDefaultAlignment;
  check(value->is(GgufType::Uint32) && std::has_single_bit(value->bits()), path, ": \"general.alignment\" is ",
        value->describe(), "; expected is a power of two, as a uint32");
  return value->bits();
}

std::vector<int64_t> read_shape(Cursor& cursor) {
  const auto n_dims = cursor.number<uint32_t>();
  if (n_dims > kMaxDims) cursor.wrong(" has ", n_dims, " dimensions; expected are at most ", kMaxDims);
  std::vector<int64_t> shape(n_dims);
  for (size_t i = n_dims; i-- > 0;) {
    shape[i] = cursor.number<int64_t>();
    if (shape[i] < 0) cursor.wrong(" has a dimension of ", static_cast<uint64_t>(shape[i]), ", which is past 2^63");
  }
  return shape;
}

// Bytes of a tensor; every intermediate product is checked.
uint64_t bytes_of(const Cursor& cursor, const GgufTensor& tensor) {
  const GgmlBlock* block = ggml_block(tensor.type);
  if (!block) cursor.wrong(" has the unknown type ", tensor.type, "; supported are ", served_ggml_types());
  const int64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
  if (row % block->elements != 0)
    cursor.wrong(" has rows of ", row, " elements; expected of ", block->name, " is a multiple of ", block->elements);
  int64_t n = block->bytes;
  bool overflow = __builtin_mul_overflow(n, row / block->elements, &n);
  for (size_t i = 0; i + 1 < tensor.shape.size(); ++i) overflow |= __builtin_mul_overflow(n, tensor.shape[i], &n);
  // That many elements must be countable too.
  int64_t n_elements = 1;
  for (int64_t extent : tensor.shape) overflow |= __builtin_mul_overflow(n_elements, extent, &n_elements);
  if (overflow) cursor.wrong(" has a shape of more than 2^63 bytes or elements");
  return static_cast<uint64_t>(n);
}

// A tensor's description; its data is to come, at an offset from where data begins.
struct Described {
  GgufTensor tensor;
  uint64_t offset;
  uint64_t bytes;
};

std::vector<Described> read_descriptions(Cursor& cursor, uint64_t n, uint64_t alignment, const std::string& path) {
  std::vector<Described> out;
  std::unordered_set<std::string_view> names;
  for (uint64_t i = 0; i < n; ++i) {
    cursor.where = concat("tensor ", i + 1, " of ", n);
    GgufTensor tensor;
    tensor.name = cursor.string();
    if (tensor.name.empty()) cursor.wrong(" has an empty name");
    cursor.where = concat("tensor ", in_quotes(tensor.name));
    tensor.shape = read_shape(cursor);
    tensor.type = cursor.number<uint32_t>();
    const uint64_t bytes = bytes_of(cursor, tensor);
    const auto offset = cursor.number<uint64_t>();
    if (offset % alignment != 0)
      cursor.wrong(" begins at byte ", offset, " of the data; expected is a multiple of ", alignment);
    check(names.insert(tensor.name).second, path, ": the tensor ", in_quotes(tensor.name), " appears more than once");
    out.push_back({std::move(tensor), offset, bytes});
  }
  return out;
}

// No byte belongs to two tensors; what belongs to none is padding.
void check_apart(std::vector<GgufTensor> tensors, const std::string& path) {
  std::ranges::sort(tensors, {}, [](const GgufTensor& t) { return std::pair(t.data.data(), t.data.size()); });
  for (size_t i = 1; i < tensors.size(); ++i)
    check(tensors[i - 1].data.data() + tensors[i - 1].data.size() <= tensors[i].data.data(), path, ": the tensors ",
          in_quotes(tensors[i - 1].name), " and ", in_quotes(tensors[i].name), " share bytes; each must have its own");
}

std::vector<GgufTensor> place(std::vector<Described> described, std::span<const std::byte> data,
                              const std::string& path) {
  std::vector<GgufTensor> tensors;
  for (Described& d : described) {
    check(d.offset <= data.size() && d.bytes <= data.size() - d.offset, path, ": tensor ", in_quotes(d.tensor.name),
          " takes ", d.bytes, " bytes from byte ", d.offset, " of the data on, but the file holds ", data.size(),
          " bytes of data; it is truncated or damaged");
    d.tensor.data = data.subspan(d.offset, d.bytes);
    tensors.push_back(std::move(d.tensor));
  }
  check_apart(tensors, path);
  return tensors;
}

}  // namespace

const GgufValue* GgufContents::find(std::string_view key) const {
  const auto at = std::ranges::find(metadata, key, &GgufField::key);
  return at == metadata.end() ? nullptr : &at->value;
}

GgufContents parse_gguf(std::span<const std::byte> file, const std::string& path) {
  Cursor cursor(file, path);
  GgufContents contents;
  contents.version = read_header(cursor, path);
  const uint64_t n_tensors = cursor.count("tensors", kMinTensor);
  const uint64_t n_fields = cursor.count("metadata entries", kMinField);
  contents.metadata = read_metadata(cursor, n_fields, path);
  const uint64_t alignment = alignment_of(contents, path);
  std::vector<Described> described = read_descriptions(cursor, n_tensors, alignment, path);
  if (described.empty()) return contents;  // a vocabulary alone may end without padding

  const uint64_t padding = (alignment - cursor.at() % alignment) % alignment;
  cursor.where = "the padding before the data";
  cursor.take(padding);
  contents.tensors = place(std::move(described), file.subspan(cursor.at()), path);
  return contents;
}

}  // namespace gattling
