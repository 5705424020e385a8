#include "model/json.h"

#include "backend/error.h"
#include "test.h"

using gattling::Error;
using gattling::Json;

namespace {

Json parse(const std::string& text) {
  return Json::parse(text, "text");
}

bool rejects(const std::string& text) {
  try {
    parse(text);
  } catch (const Error& error) {
    return std::string(error.what()).starts_with("text is not valid JSON at byte ");
  }
  return false;
}

std::string nested(int depth) {
  return std::string(depth, '[') + std::string(depth, ']');
}

}  // namespace

TEST(values) {
  CHECK(parse(" null ").is_null());
  CHECK(parse("true").boolean() && !parse("false").boolean());
  CHECK(parse("\"\"").string().empty());
  CHECK(parse("[]").array().empty() && parse("{ }").object().empty());
  const Json json = parse("{\"b\": [1, -2.5, \"x\"],\r\n\t\"a\": {\"c\": null}}");
  CHECK(json.object()[0].first == "b" && json.object()[1].first == "a");
  CHECK(json.at("b").array().size() == 3 && json.at("b").array()[1].number() == -2.5);
  CHECK(json.at("a").at("c").is_null() && !json.find("c"));
}

TEST(numbers) {
  CHECK(parse("0").integer() == 0 && parse("-0").integer() == 0);
  CHECK(parse("9223372036854775807").integer() == INT64_MAX);
  CHECK(parse("-9223372036854775808").integer() == INT64_MIN);
  CHECK(!parse("9223372036854775808").is_integer() && parse("9223372036854775808").number() == 0x1p63);
  CHECK(!parse("1.0").is_integer() && !parse("1e2").is_integer() && parse("1e2").number() == 100);
  CHECK(parse("1E-2").number() == 0.01 && parse("1e+2").number() == 100);
  CHECK(parse("1e-05").number() == 1e-5);
}

TEST(strings) {
  CHECK(parse(R"("\"\\\/\b\f\n\r\t")").string() == "\"\\/\b\f\n\r\t");
  CHECK(parse(R"("\u0041\u00e9\u20AC")").string() == "A\xC3\xA9\xE2\x82\xAC");
  CHECK(parse(R"("\ud83d\ude00")").string() == "\xF0\x9F\x98\x80");
  CHECK(parse(R"("\u0000")").string() == std::string(1, '\0'));
  CHECK(parse("\"\xC3\xA9\x7F\"").string() == "\xC3\xA9\x7F");
}

TEST(invalid_texts) {
  for (const char* text : {"",
                           " ",
                           "nul",
                           "nulll",
                           "True",
                           "[",
                           "]",
                           "[1",
                           "[1,",
                           "[1,]",
                           "[,1]",
                           "[1 2]",
                           "{",
                           "{\"a\"",
                           "{\"a\":",
                           "{\"a\":1",
                           "{\"a\":1,",
                           "{\"a\":1,}",
                           "{a:1}",
                           "{1:1}",
                           "{\"a\" 1}",
                           "{\"a\":1 \"b\":2}",
                           "1 2",
                           "{} {}",
                           "+1",
                           "01",
                           "-",
                           "-a",
                           "1.",
                           ".5",
                           "1e",
                           "1e+",
                           "0x1",
                           "NaN",
                           "Infinity",
                           "1e999",
                           "\"",
                           "\"a",
                           "\"\\",
                           "\"\\x\"",
                           "\"\\u12\"",
                           "\"\\u12g4\"",
                           "\"\\u+123\"",
                           "\"\\ud800\"",
                           "\"\\ud800\\u0041\"",
                           "\"\\ude00\"",
                           "\"\\ud800\\n\"",
                           "\"\n\"",
                           "\"\t\"",
                           "'a'",
                           "//",
                           "\xEF\xBB\xBF{}"})
    if (!rejects(text)) test::failed(__FILE__, __LINE__, text);
  CHECK(rejects(std::string("1\0", 2)) && rejects(std::string("\"\0\"", 3)) && rejects(std::string("\0", 1)));
}

TEST(errors_give_the_byte) {
  THROWS("text is not valid JSON at byte 7: ',' or '}' is expected", parse("{\"a\":1 \"b\":2}"));
  THROWS("text is not valid JSON at byte 1: the key \"k\" appears more than once", parse(" {\"k\":1,\"j\":2,\"k\":1}"));
  THROWS("the key \"a\" appears more than once", parse(R"({"a":1,"\u0061":2})"));
}

TEST(depth) {
  CHECK(parse(nested(64)).is_array());
  CHECK(rejects(nested(65)) && rejects(std::string(1000000, '[')) && rejects(std::string(1000000, '{')));
  std::string objects;
  for (int i = 0; i < 65; ++i) objects += "{\"a\":";
  CHECK(rejects(objects));
}

TEST(every_prefix_is_rejected) {
  const std::string text = R"({"a":[1.5e-3,true,null,"\ud83d\ude00x"],"b":{"c":false}})";
  CHECK(parse(text).is_object());
  for (size_t n = 0; n < text.size(); ++n) CHECK(rejects(text.substr(0, n)));
}

TEST(wrong_kinds_are_named) {
  THROWS("an integer is expected, not 1.5", parse("1.5").integer());
  THROWS("a number is expected, not the string \"x\"", parse("\"x\"").number());
  THROWS("a string is expected, not null", parse("null").string());
  THROWS("an array is expected, not an object", parse("{}").array());
  THROWS("an object is expected, not an array", parse("[]").find("a"));
  THROWS("true or false is expected, not 1", parse("1").boolean());
  THROWS("the key \"a\" is missing", parse("{}").at("a"));
}

TEST(quotes_are_short_and_printable) {
  CHECK(gattling::in_quotes("a\nb") == "\"a?b\"");
  CHECK(gattling::in_quotes(std::string(500, 'x')).size() == 105);
}
