#include "model/safetensors.h"

#include "backend/error.h"
#include "files.h"
#include "test.h"

using namespace gattling;
using test::safetensors;

namespace {

std::vector<HostTensor> parse(const std::string& file) {
  return parse_safetensors(std::as_bytes(std::span(file)), "f.safetensors");
}

std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

// Two tensors, 16 bytes of data; the header lists them against their order in the data.
const std::string kHeader = R"({"__metadata__":{"format":"pt"},"b":)" + entry("F32", "[1,2]", "[8,16]") + R"(,"a":)" +
                            entry("BF16", "[4]", "[0,8]") + "}  ";
const std::string kData = "0123456789abcdef";

struct Hostile {
  const char* expected;
  std::string header;
};

}  // namespace

TEST(reads_tensors_in_data_order) {
  const std::string file = safetensors(kHeader, kData);
  const std::vector<HostTensor> tensors = parse(file);
  CHECK(tensors.size() == 2);
  CHECK(tensors[0].name == "a" && tensors[0].dtype == DType::BF16 && tensors[0].shape == std::vector<int64_t>{4});
  CHECK(tensors[1].name == "b" && tensors[1].dtype == DType::F32 && tensors[1].shape == (std::vector<int64_t>{1, 2}));
  CHECK(std::memcmp(tensors[1].data, "89abcdef", 8) == 0);
}

TEST(empty_tensors_and_scalars) {
  const std::string file =
      safetensors("{\"z\":" + entry("F16", "[0,7]", "[2,2]") + ",\"y\":" + entry("F16", "[3,0]", "[0,0]") +
                      ",\"s\":" + entry("F16", "[]", "[0,2]") + "}",
                  "xy");
  CHECK(parse(file).size() == 3 && parse(file)[1].name == "s");
  CHECK(parse(safetensors("{}", "")).empty());
}

TEST(hostile_headers) {
  const Hostile table[] = {
      {"tensor \"a\" has as its dtype the string \"I64\"; supported are F32, BF16 and F16, and I32 for packed integers",
       "{\"a\":" + entry("I64", "[2]", "[0,16]") + "}"},
      {"has as its dtype null", R"({"a":{"dtype":null,"shape":[4],"data_offsets":[0,16]}})"},
      {"takes 12 bytes by its shape and dtype, but its data_offsets span 16",
       "{\"a\":" + entry("F32", "[3]", "[0,16]") + "}"},
      {"takes 2 bytes by its shape", "{\"a\":" + entry("F16", "[]", "[0,16]") + "}"},
      {"ends at byte 20 of the data, but the file holds 16", "{\"a\":" + entry("F32", "[5]", "[0,20]") + "}"},
      {"ends at byte 9223372036854775807", "{\"a\":" + entry("F32", "[4]", "[0,9223372036854775807]") + "}"},
      {"end before they begin", "{\"a\":" + entry("F32", "[0]", "[16,0]") + "}"},
      {"has -1 in its shape", "{\"a\":" + entry("F32", "[-1]", "[0,16]") + "}"},
      {"has -4 in its data_offsets", "{\"a\":" + entry("F32", "[4]", "[-4,12]") + "}"},
      {"has 4.5 in its shape", "{\"a\":" + entry("F32", "[4.5]", "[0,16]") + "}"},
      {"has 1.84467e+19 in its shape", "{\"a\":" + entry("F32", "[18446744073709551615]", "[0,16]") + "}"},
      {"has a shape of more than 2^63 bytes", "{\"a\":" + entry("F32", "[4294967296,4294967296]", "[0,16]") + "}"},
      {"has a shape of more than 2^63 bytes", "{\"a\":" + entry("F16", "[9223372036854775807]", "[0,16]") + "}"},
      {"must have an array as its shape", "{\"a\":" + entry("F32", "4", "[0,16]") + "}"},
      {"must have an array of two integers as its data_offsets", "{\"a\":" + entry("F32", "[4]", "[0,8,16]") + "}"},
      {"must have an array of two integers as its data_offsets", "{\"a\":" + entry("F32", "[4]", "16") + "}"},
      {"has no \"shape\"", R"({"a":{"dtype":"F32","data_offsets":[0,16]}})"},
      {"tensor \"a\" must be an object, not an array", R"({"a":[]})"},
      {"tensor \"b\" begins at byte 4 of the data, but the tensor before it ends at 8",
       "{\"a\":" + entry("F32", "[2]", "[0,8]") + ",\"b\":" + entry("F32", "[3]", "[4,16]") + "}"},
      {"tensor \"b\" begins at byte 0 of the data, but the tensor before it ends at 16",
       "{\"a\":" + entry("F32", "[4]", "[0,16]") + ",\"b\":" + entry("F32", "[4]", "[0,16]") + "}"},
      {"tensor \"b\" begins at byte 8 of the data, but nothing describes the bytes from 4",
       "{\"a\":" + entry("F32", "[1]", "[0,4]") + ",\"b\":" + entry("F32", "[2]", "[8,16]") + "}"},
      {"tensor \"a\" begins at byte 4 of the data, but nothing", "{\"a\":" + entry("F32", "[3]", "[4,16]") + "}"},
      {"holds 16 bytes of data, but its tensors end at byte 12", "{\"a\":" + entry("F32", "[3]", "[0,12]") + "}"},
      {"the key \"a\" appears more than once",
       "{\"a\":" + entry("F32", "[4]", "[0,16]") + ",\"a\":" + entry("F32", "[4]", "[0,16]") + "}"},
      {"the header of f.safetensors is not valid JSON at byte 1", "{'a'}"},
      {"does not begin with '{'", "[]"},
      {"does not begin with '{'", " {}"},
      {"does not begin with '{'", ""},
      {"at most 64 levels", "{\"a\":" + std::string(100000, '[')},
  };
  for (const Hostile& hostile : table) {
    THROWS(hostile.expected, parse(safetensors(hostile.header, kData)));
    THROWS("f.safetensors", parse(safetensors(hostile.header, kData)));
  }
}

TEST(hostile_lengths) {
  const std::string rest(100, '{');
  THROWS("at most 100000000 are allowed", parse(test::length_bytes(UINT64_MAX) + rest));
  THROWS("at most 100000000 are allowed", parse(test::length_bytes(100'000'001) + rest));
  THROWS("says that its header has 101 bytes, but only 100 follow", parse(test::length_bytes(101) + rest));
  THROWS("at most 100000000 are allowed", parse("version https://git-lfs.github.com/spec/v1\n"));
}

TEST(every_truncation_is_an_error) {
  const std::string file = safetensors(kHeader, kData);
  for (size_t n = 0; n < file.size(); ++n) THROWS("f.safetensors", parse(file.substr(0, n)));
  THROWS("holds 17 bytes of data, but its tensors end at byte 16", parse(file + "x"));
}

// Any damage of one byte is an error or still a valid file; tensors then lie within it.
TEST(every_damaged_byte_is_safe) {
  const std::string file = safetensors(kHeader, kData);
  int n_errors = 0;
  for (size_t i = 0; i < file.size(); ++i)
    for (int value = 0; value < 256; ++value) {
      std::string damaged = file;
      damaged[i] = static_cast<char>(value);
      try {
        const std::byte* end = std::as_bytes(std::span(damaged)).data() + damaged.size();
        for (const HostTensor& tensor : parse(damaged)) CHECK(tensor.data + tensor.bytes() <= end);
      } catch (const Error&) {
        ++n_errors;
      }
    }
  CHECK(n_errors > 10000);
}

TEST(mapped_files) {
  const test::TempFolder folder;
  THROWS("none cannot be opened: No such file or directory", open_safetensors(folder.path + "/none"));
  THROWS("must be a regular file", open_safetensors(folder.path));
  THROWS("holds 0 bytes, but a safetensors file begins with", open_safetensors(folder.write("empty", "")));
  THROWS("holds 3 bytes; at most 2 are expected", MappedFile(folder.write("three", "abc"), 2));
}

TEST(released_pages_read_again) {
  const test::TempFolder folder;
  const std::string data(1 << 20, 'q');
  TensorFile file = open_safetensors(
      folder.write("big", safetensors("{\"a\":" + entry("F32", "[262144]", "[0,1048576]") + "}", data)));
  const TensorFile moved = std::move(file);
  const HostTensor& tensor = moved.tensors()[0];
  moved.prefetch(tensor);
  for (int i = 0; i < 2; ++i) {
    CHECK(std::memcmp(tensor.data, data.data(), data.size()) == 0);
    moved.release(tensor);
  }
}
