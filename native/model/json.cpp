#include "model/json.h"

#include <algorithm>
#include <charconv>

#include "backend/error.h"

namespace gattling {
namespace {

constexpr int kMaxDepth = 64;
constexpr size_t kMaxQuoted = 100;  // bytes of a file's text in an error

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

void append_utf8(std::string& out, uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
    return;
  }
  const int n_more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  const uint32_t lead = n_more == 1 ? 0xC0 : n_more == 2 ? 0xE0 : 0xF0;
  out += static_cast<char>(lead | code >> (6 * n_more));
  for (int i = n_more - 1; i >= 0; --i) out += static_cast<char>(0x80 | (code >> (6 * i) & 0x3F));
}

const std::string* duplicate(const Json::Object& members) {
  std::vector<const std::string*> keys;
  for (const auto& member : members) keys.push_back(&member.first);
  std::sort(keys.begin(), keys.end(), [](auto a, auto b) { return *a < *b; });
  const auto twin = std::adjacent_find(keys.begin(), keys.end(), [](auto a, auto b) { return *a == *b; });
  return twin == keys.end() ? nullptr : *twin;
}

}  // namespace

class JsonReader {
 public:
  JsonReader(std::string_view text, std::string_view source) : text_(text), source_(source) {}

  Json document() {
    Json json = value(0);
    skip_space();
    if (at_ < text_.size()) wrong("nothing more is expected after the value");
    return json;
  }

 private:
  [[noreturn]] void wrong(std::string_view what) const { wrong_at(at_, what); }
  [[noreturn]] void wrong_at(size_t offset, std::string_view what) const {
    fail(source_, " is not valid JSON at byte ", offset, ": ", what);
  }

  // '\0' at the end, which no rule accepts.
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  char next() {
    skip_space();
    return peek();
  }
  void skip_space() {
    while (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r') ++at_;
  }
  bool take(char c) {
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void word(std::string_view literal) {
    if (text_.substr(at_, literal.size()) != literal) wrong("a value is expected");
    at_ += literal.size();
  }

  Json value(int depth) {
    Json json;
    switch (next()) {
      case '{':
        json.value_ = object(depth + 1);
        break;
      case '[':
        json.value_ = array(depth + 1);
        break;
      case '"':
        json.value_ = string();
        break;
      case 't':
        word("true");
        json.value_ = true;
        break;
      case 'f':
        word("false");
        json.value_ = false;
        break;
      case 'n':
        word("null");
        break;
      default:
        if (peek() != '-' && !is_digit(peek())) wrong("a value is expected");
        json.value_ = number();
    }
    return json;
  }

  Json::Object object(int depth) {
    if (depth > kMaxDepth) wrong("at most 64 levels may be nested");
    const size_t start = at_++;
    Json::Object members;
    if (next() == '}') return ++at_, members;
    do {
      if (next() != '"') wrong("a key in quotes is expected");
      std::string key = string();
      skip_space();
      if (!take(':')) wrong("':' is expected");
      Json member = value(depth);
      members.emplace_back(std::move(key), std::move(member));
      skip_space();
    } while (take(','));
    if (!take('}')) wrong("',' or '}' is expected");
    if (const std::string* key = duplicate(members))
      wrong_at(start, concat("the key ", in_quotes(*key), " appears more than once in this object"));
    return members;
  }

  Json::Array array(int depth) {
    if (depth > kMaxDepth) wrong("at most 64 levels may be nested");
    ++at_;
    Json::Array elements;
    if (next() == ']') return ++at_, elements;
    do {
      elements.push_back(value(depth));
      skip_space();
    } while (take(','));
    if (!take(']')) wrong("',' or ']' is expected");
    return elements;
  }

  std::string string() {
    ++at_;
    std::string out;
    while (!take('"')) {
      if (at_ == text_.size()) wrong("the string is not closed");
      const char c = text_[at_];
      if (static_cast<unsigned char>(c) < 0x20) wrong("a control character in a string must be escaped");
      ++at_;
      if (c == '\\')
        escape(out);
      else
        out += c;
    }
    return out;
  }

  void escape(std::string& out) {
    constexpr std::string_view kNames = "\"\\/bfnrt", kValues = "\"\\/\b\f\n\r\t";
    if (take('u')) return append_utf8(out, code_point());
    const size_t index = kNames.find(peek());
    if (at_ == text_.size() || index == kNames.npos)
      wrong("an escape is one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX");
    out += kValues[index];
    ++at_;
  }

  // After \u; a surrogate pair (RFC 8259, section 7) is one code point.
  uint32_t code_point() {
    const uint32_t high = hex4();
    if (high < 0xD800 || high > 0xDFFF) return high;
    if (high < 0xDC00 && take('\\') && take('u')) {
      const uint32_t low = hex4();
      if (low >= 0xDC00 && low <= 0xDFFF) return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    }
    wrong("a surrogate must be half of a pair");
  }

  uint32_t hex4() {
    uint32_t code = 0;
    const std::string_view digits = text_.substr(at_, 4);
    const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16).ptr;
    if (digits.size() < 4 || end != digits.data() + 4) wrong("\\u takes four hexadecimal digits");
    at_ += 4;
    return code;
  }

  void digits() {
    if (!is_digit(peek())) wrong("a digit is expected");
    while (is_digit(peek())) ++at_;
  }

  Json::Number number() {
    const size_t start = at_;
    take('-');
    if (peek() == '0')
      ++at_;
    else
      digits();
    bool integral = true;
    if (take('.')) integral = false, digits();
    if (take('e') || take('E')) {
      integral = false;
      if (!take('+')) take('-');
      digits();
    }
    const char* first = text_.data() + start;
    const char* last = text_.data() + at_;
    Json::Number number{};
    if (std::from_chars(first, last, number.value).ec != std::errc{}) wrong_at(start, "the number is out of range");
    number.integral = integral && std::from_chars(first, last, number.integer).ec == std::errc{};
    return number;
  }

  std::string_view text_;
  std::string_view source_;
  size_t at_ = 0;
};

Json Json::parse(std::string_view text, std::string_view source) {
  return JsonReader(text, source).document();
}

template <typename T>
const T& Json::as(const char* expected) const {
  const T* value = std::get_if<T>(&value_);
  if (!value) fail(expected, " is expected, not ", describe());
  return *value;
}

bool Json::boolean() const {
  return as<bool>("true or false");
}

double Json::number() const {
  return as<Number>("a number").value;
}

int64_t Json::integer() const {
  const Number& number = as<Number>("an integer");
  if (!number.integral) fail("an integer is expected, not ", describe());
  return number.integer;
}

const std::string& Json::string() const {
  return as<std::string>("a string");
}

const Json::Array& Json::array() const {
  return as<Array>("an array");
}

const Json::Object& Json::object() const {
  return as<Object>("an object");
}

const Json* Json::find(std::string_view key) const {
  for (const auto& [name, value] : object())
    if (name == key) return &value;
  return nullptr;
}

const Json& Json::at(std::string_view key) const {
  const Json* value = find(key);
  if (!value) fail("the key ", in_quotes(key), " is missing");
  return *value;
}

std::string Json::describe() const {
  if (is_null()) return "null";
  if (is_boolean()) return boolean() ? "true" : "false";
  if (is_string()) return "the string " + in_quotes(string());
  if (is_array()) return "an array";
  if (is_object()) return "an object";
  return is_integer() ? std::to_string(integer()) : concat(number());
}

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (char c : text.substr(0, kMaxQuoted)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
  return out + (text.size() > kMaxQuoted ? "...\"" : "\"");
}

}  // namespace gattling
