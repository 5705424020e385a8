#include "model/gguf.h"

#include <cmath>
#include <limits>

#include "backend/error.h"
#include "files.h"
#include "gguf_bytes.h"
#include "model/gguf_types.h"
#include "test.h"

using namespace gattling;
using test::GgufBytes;
using test::number;
using test::with_length;

namespace {

const std::string kFixtures = GATTLING_SOURCE_DIR "/test/fixtures/gguf/";
constexpr uint32_t kF32 = 0, kF16 = 1, kQ8_0 = 8;

GgufContents parse(const std::string& file) {
  return parse_gguf(std::as_bytes(std::span(file)), "f.gguf");
}

// Two tensors of 8 and 34 bytes, five fields.
GgufBytes small() {
  GgufBytes file;
  file.string("general.architecture", "llama").u32("n", 7).f32("eps", 0.5f).strings("tokens", {"a", "", "bcd"});
  file.array("scores", 6, 2, number<float>(1) + number<float>(-2));
  file.tensor("a", {2, 1}, kF32, "01234567").tensor("b", {32}, kQ8_0, std::string(34, 'q'));
  return file;
}

struct Hostile {
  const char* expected;
  GgufBytes file;
};

void refuse(const std::vector<Hostile>& table) {
  for (const Hostile& hostile : table) {
    THROWS(hostile.expected, parse(hostile.file.bytes()));
    THROWS("f.gguf", parse(hostile.file.bytes()));
  }
}

}  // namespace

TEST(reads_fields_and_tensors_in_place) {
  const std::string file = small().bytes();
  const GgufContents contents = parse(file);
  CHECK(contents.version == 3 && contents.metadata.size() == 5 && contents.tensors.size() == 2);
  CHECK(contents.find("general.architecture")->string() == "llama" && contents.find("n")->bits() == 7);
  CHECK(contents.find("eps")->number() == 0.5 && !contents.find("none"));
  CHECK(contents.find("tokens")->strings() == (std::vector<std::string_view>{"a", "", "bcd"}));
  CHECK(contents.find("scores")->n == 2 && contents.find("scores")->data.size() == 8);
  const GgufTensor &a = contents.tensors[0], &b = contents.tensors[1];
  CHECK(a.name == "a" && a.type == kF32 && a.shape == (std::vector<int64_t>{1, 2}));
  CHECK(b.name == "b" && b.type == kQ8_0 && b.shape == std::vector<int64_t>{32} && b.data.size() == 34);
  CHECK(std::memcmp(a.data.data(), "01234567", 8) == 0);
  // Views, not copies.
  const char *begin = file.data(), *end = begin + file.size();
  const auto within = [&](const char* at) { return at >= begin && at < end; };
  CHECK(within(contents.find("tokens")->strings()[2].data()) && within(a.name.data()));
  CHECK(within(reinterpret_cast<const char*>(b.data.data())) && within(contents.metadata[0].key.data()));
}

TEST(versions) {
  for (uint32_t version : {0, 1, 2, 3, 4, 300}) {
    GgufBytes file = small();
    file.version = version;
    if (version == 2 || version == 3) {
      CHECK(parse(file.bytes()).version == version);
      continue;
    }
    THROWS(concat("f.gguf is GGUF of version ", version, "; supported are the versions 2 and 3"), parse(file.bytes()));
  }
}

TEST(big_endian_files_are_named) {
  for (uint32_t version : {2u, 3u}) {
    GgufBytes file = small();
    file.version = version << 24;
    THROWS("f.gguf is a big-endian GGUF file; expected is a little-endian one", parse(file.bytes()));
  }
}

TEST(other_files) {
  GgufBytes file = small();
  file.magic = "GGML";
  THROWS("f.gguf begins with \"GGML\"; a GGUF file begins with \"GGUF\"", parse(file.bytes()));
  THROWS("begins with \"vers\"", parse("version https://git-lfs.github.com/spec/v1\n"));
  THROWS("the header takes 4 bytes from byte 0 on, but the file ends after 3", parse("GGU"));
}

// What the package `gguf` wrote, every type of value among it.
TEST(values_of_every_type) {
  const Gguf file(kFixtures + "types.gguf");
  const GgufContents& contents = file.contents;
  const auto at = [&](const char* key) -> const GgufValue& { return *contents.find(key); };
  CHECK(at("u8").number() == 200 && at("i8").number() == -100 && at("u16").number() == 60000);
  CHECK(at("i16").number() == -30000 && at("u32").number() == 4000000000 && at("i32").number() == -2000000000);
  CHECK(at("u64").bits() == UINT64_MAX && static_cast<int64_t>(at("i64").bits()) == INT64_MIN);
  CHECK(static_cast<int8_t>(at("i8").bits()) == -100 && at("i8").bits() == static_cast<uint64_t>(-100));
  CHECK(at("f32").number() == static_cast<double>(0.1f) && at("f64").number() == 0.1 && at("bool").bits() == 1);
  CHECK(at("string").string() == "naïve 𝄞" && at("string.empty").string().empty());
  CHECK(at("strings").strings() == (std::vector<std::string_view>{"a", "", "▁ha"}));
  CHECK(at("bools").is_array && at("bools").n == 3 && at("bools").type == GgufType::Bool);
  for (const char* type : {"u8", "i8", "u16", "i16", "u32", "i32", "f32", "u64", "i64", "f64"}) {
    const GgufValue &one = at(type), &many = at((std::string(type) + ".array").c_str());
    CHECK(many.is_array && many.type == one.type && many.data.size() == many.n * size_of(one.type));
  }
}

TEST(values_in_words) {
  const Gguf file(kFixtures + "types.gguf");
  const auto words = [&](const char* key) { return file.contents.find(key)->describe(); };
  CHECK(words("u8") == "200" && words("i8") == "-100" && words("bool") == "true" && words("f64") == "0.1");
  CHECK(words("string.empty") == "the string \"\"" && words("strings") == "an array of 3 string");
  const GgufValue &text = *file.contents.find("string"), &real = *file.contents.find("f32");
  THROWS("a number of GGUF is expected, not the string", text.number());
  THROWS("an integer of GGUF is expected, not 0.1", real.bits());
  THROWS("a string of GGUF is expected, not 0.1", real.string());
  THROWS("an array of strings is expected, not the string", text.strings());
  THROWS("an array of strings is expected, not an array of 2 uint8", file.contents.find("u8.array")->strings());
}

TEST(huge_counts) {
  for (uint64_t n : {uint64_t{1000}, uint64_t{1} << 32, uint64_t{1} << 61, uint64_t{1} << 63, UINT64_MAX}) {
    GgufBytes tensors = small(), fields = small();
    tensors.n_tensors = fields.n_fields = n;
    THROWS(concat("the header says that ", n, " tensors follow, but only"), parse(tensors.bytes()));
    THROWS(concat("the header says that ", n, " metadata entries follow, but only"), parse(fields.bytes()));
    for (uint32_t type : {0u, 7u, 8u, 10u})
      THROWS(concat("f.gguf: the value of \"k\""), parse(GgufBytes().array("k", type, n, "xy").bytes()));
  }
  // One more than there are.
  GgufBytes file = GgufBytes().string("general.architecture", "llama").u32("n", 7);
  ++file.n_fields;
  THROWS("f.gguf: metadata entry 3 of 3 takes 8 bytes", parse(file.bytes()));
}

TEST(string_lengths_past_the_end) {
  for (uint64_t n : {uint64_t{100}, uint64_t{1} << 62, UINT64_MAX - 7, UINT64_MAX}) {
    THROWS(concat("the value of \"k\" takes ", n, " bytes from byte "),
           parse(GgufBytes().field("k", 8, number<uint64_t>(n) + "abc").bytes()));
    THROWS(concat("the value of \"k\" takes ", n, " bytes from byte "),
           parse(GgufBytes().array("k", 8, 2, with_length("abc") + number<uint64_t>(n) + "abc").bytes()));
    GgufBytes key;
    key.n_fields = 1;
    key.data = number<uint64_t>(n) + std::string(40, 'k');
    key.alignment = 1;
    THROWS(concat("metadata entry 1 of 1 takes ", n, " bytes"), parse(key.bytes()));
  }
}

TEST(types_of_values) {
  refuse({
      {"the value of \"k\" has the type 13; expected is 0 to 12", GgufBytes().field("k", 13, std::string(16, 'x'))},
      {"the value of \"k\" has the type 4294967295", GgufBytes().field("k", UINT32_MAX, std::string(16, 'x'))},
      {"the value of \"k\" has the type 77", GgufBytes().array("k", 77, 1, std::string(16, 'x'))},
      {"the value of \"k\" is an array of arrays; expected is one of numbers or strings",
       GgufBytes().array("k", 9, 1, number<uint32_t>(4) + number<uint64_t>(1) + number<uint32_t>(1))},
  });
}

TEST(duplicate_and_empty_names) {
  refuse({
      {"the key \"n\" appears more than once", small().u32("n", 8)},
      {"the tensor \"a\" appears more than once", small().tensor("a", {2}, kF32, "01234567")},
      {"metadata entry 6 of 6 has an empty key", small().u32("", 8)},
      {"tensor 3 of 3 has an empty name", small().tensor("", {2}, kF32, "01234567")},
  });
}

TEST(alignments) {
  const auto aligned = [](uint32_t alignment, uint64_t real) {
    GgufBytes file;
    file.alignment = real;
    file.u32("general.alignment", alignment);
    file.tensor("a", {1}, kF32, "0123").tensor("b", {1}, kF32, "4567");
    return file;
  };
  for (uint32_t alignment : {1u, 2u, 8u, 64u, 4096u}) {
    const std::string bytes = aligned(alignment, alignment).bytes();
    const GgufContents contents = parse(bytes);
    CHECK(std::memcmp(contents.tensors[1].data.data(), "4567", 4) == 0);
    CHECK((reinterpret_cast<const char*>(contents.tensors[1].data.data()) - bytes.data()) % alignment == 0);
  }
  refuse({
      {"\"general.alignment\" is 0; expected is a power of two, as a uint32", aligned(0, 32)},
      {"\"general.alignment\" is 24; expected is a power of two", aligned(24, 32)},
      {"\"general.alignment\" is 4294967295; expected", aligned(UINT32_MAX, 32)},
      {"the padding before the data takes",
       GgufBytes().u32("general.alignment", 1u << 31).tensor("a", {1}, kF32, "0123")},
      {"tensor \"b\" begins at byte 32 of the data; expected is a multiple of 64", aligned(64, 32)},
      {"is the string \"32\"; expected", GgufBytes().string("general.alignment", "32")},
      {"is an array of 1 uint32; expected", GgufBytes().array("general.alignment", 4, 1, number<uint32_t>(32))},
      {"is -32; expected", GgufBytes().field("general.alignment", 5, number<int32_t>(-32))},
  });
}

TEST(dims_whose_product_overflows) {
  constexpr uint64_t k = 1;
  refuse({
      {"tensor \"a\" has a shape of more than 2^63 bytes or elements",
       GgufBytes().describe("a", {k << 32, k << 31}, kF32, 0)},
      {"has a shape of more than 2^63 bytes", GgufBytes().describe("a", {k << 32, k << 32}, kF16, 0)},
      {"has a shape of more than 2^63 bytes", GgufBytes().describe("a", {k << 62, 2}, kQ8_0, 0)},
      {"has a shape of more than 2^63 bytes", GgufBytes().describe("a", {INT64_MAX}, kF32, 0)},
      {"has a shape of more than 2^63 bytes", GgufBytes().describe("a", {k << 20, k << 20, k << 20, k << 20}, kF32, 0)},
      {"has a dimension of 18446744073709551615, which is past 2^63", GgufBytes().describe("a", {UINT64_MAX}, kF32, 0)},
      {"has a dimension of 9223372036854775808", GgufBytes().describe("a", {1, k << 63}, kF32, 0)},
      {"tensor \"a\" has 5 dimensions; expected are at most 4", GgufBytes().describe("a", {1, 1, 1, 1, 1}, kF32, 0)},
      {"has rows of 48 elements; expected of Q8_0 is a multiple of 32", GgufBytes().describe("a", {48, 4}, kQ8_0, 0)},
  });
  GgufBytes dims;
  dims.describe("a", {}, UINT32_MAX, 0);
  std::string bytes = dims.bytes();
  bytes.replace(bytes.size() - 16, 4, number<uint32_t>(UINT32_MAX));  // the number of dimensions
  THROWS("tensor \"a\" has 4294967295 dimensions", parse(bytes));
}

// More than 2^31 elements are no overflow, only more than this file holds.
TEST(more_than_2_to_the_31_elements) {
  GgufBytes file;
  file.describe("a", {uint64_t{1} << 16, 40000}, kF16, 0).data = "x";
  THROWS("tensor \"a\" takes 5242880000 bytes from byte 0 of the data on, but the file holds 1 bytes of data",
         parse(file.bytes()));
}

TEST(tensors_outside_the_file) {
  GgufBytes past, far, last = small();
  past.describe("a", {8}, kF32, 32).data = std::string(32, 'x');
  far.describe("a", {8}, kF32, UINT64_MAX - 31).data = std::string(32, 'x');
  last.data.pop_back();
  refuse({
      {"tensor \"a\" takes 32 bytes from byte 32 of the data on, but the file holds 32", past},
      {"takes 32 bytes from byte 18446744073709551584 of the data on", far},
      {"tensor \"b\" takes 34 bytes from byte 32 of the data on, but the file holds 65", last},
  });
}

TEST(overlapping_tensors) {
  const auto two = [](uint64_t first, uint64_t second) {
    GgufBytes file;
    file.describe("a", {16}, kF32, first).describe("b", {16}, kF32, second).data = std::string(128, 'x');
    return file;
  };
  CHECK(parse(two(64, 0).bytes()).tensors[0].name == "a");
  refuse({{"the tensors \"a\" and \"b\" share bytes; each must have its own", two(0, 32)},
          {"the tensors \"b\" and \"a\" share bytes", two(32, 0)},
          {"share bytes", two(32, 32)}});
}

TEST(types_of_tensors) {
  for (uint32_t type : {4u, 5u, 42u, 99u, UINT32_MAX})
    THROWS(concat("tensor \"a\" has the unknown type ", type,
                  "; supported are F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K and Q6_K"),
           parse(GgufBytes().tensor("a", {256}, type, std::string(1024, 'x')).bytes()));
  // Those that cannot be served have a name and a size all the same.
  const std::string bytes = GgufBytes().tensor("a", {256, 2}, 23, std::string(272, 'x')).bytes();
  CHECK(parse(bytes).tensors[0].data.size() == 272 && !is_served(23));
  CHECK(std::string(ggml_block(23)->name) == "IQ4_XS" && is_served(8) && !is_served(99));
}

// Names are only compared and printed.
TEST(names_that_look_like_paths) {
  const std::string name("../../etc/passwd\0\x1b[2J", 21);
  const std::string bytes = GgufBytes().string(name, "x").tensor(name, {2}, kF32, "01234567").bytes();
  CHECK(parse(bytes).tensors[0].name == name && parse(bytes).find(name));
  const std::string twice = GgufBytes().u32(name, 1).u32(name, 1).bytes();
  try {
    parse(twice);
    CHECK(false);
  } catch (const Error& error) {
    CHECK(std::string(error.what()).find('\x1b') == std::string::npos);
    CHECK(std::strlen(error.what()) > 30);
  }
}

TEST(empty_parts) {
  CHECK(parse(GgufBytes().bytes()).metadata.empty());
  CHECK(parse(GgufBytes().strings("k", {}).bytes()).find("k")->strings().empty());
  CHECK(parse(GgufBytes().array("k", 4, 0, "").bytes()).find("k")->data.empty());
  const std::string scalar = GgufBytes().tensor("a", {}, kF32, "0123").tensor("z", {0, 7}, kF32, "").bytes();
  CHECK(parse(scalar).tensors[0].shape.empty() && parse(scalar).tensors[1].data.empty());
  const test::TempFolder folder;
  THROWS("empty: the header takes 4 bytes from byte 0 on, but the file ends after 0", Gguf(folder.write("empty", "")));
}

TEST(every_truncation_is_an_error) {
  const std::string file = small().bytes();
  for (size_t n = 0; n < file.size(); ++n) THROWS("f.gguf", parse(file.substr(0, n)));
  parse(file + "what follows the last tensor is padding");
}

// Any damage of one byte is an error or still a valid file, whose parts lie within it.
TEST(every_damaged_byte_is_safe) {
  const std::string file = small().bytes();
  int n_errors = 0;
  for (size_t i = 0; i < file.size(); ++i)
    for (int flip : {1, 2, 4, 8, 16, 32, 64, 128, 255, static_cast<int>(file[i])}) {  // the last makes it 0
      std::string damaged = file;
      damaged[i] = static_cast<char>(file[i] ^ flip);
      const char *begin = damaged.data(), *end = begin + damaged.size();
      const auto within = [&](const auto& view) {
        const char* at = reinterpret_cast<const char*>(view.data());
        return view.empty() || (at >= begin && at + view.size() <= end);
      };
      try {
        const GgufContents contents = parse(damaged);
        for (const GgufTensor& tensor : contents.tensors) CHECK(within(tensor.data) && within(tensor.name));
        for (const GgufField& field : contents.metadata) {
          CHECK(within(field.key) && within(field.value.data) && !field.value.describe().empty());
          if (!field.value.is_array || field.value.type != GgufType::String) continue;
          for (std::string_view text : field.value.strings()) CHECK(within(text));
        }
      } catch (const Error&) {
        ++n_errors;
      }
    }
  CHECK(n_errors > 500);
}
