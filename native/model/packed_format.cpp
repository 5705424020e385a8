#include "model/packed_format.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "model/fields.h"
#include "model/mapped_file.h"

namespace gattling {
namespace {

constexpr size_t kMaxFile = 16 << 20;
constexpr int64_t kMaxGroup = 1 << 20;

std::string in_lower_case(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; });
  return text;
}

// -1: the whole row.
int64_t group_of(const Fields& fields, const char* key) {
  const Json* value = fields.find(key);
  if (value && value->is_integer() && value->integer() == -1) return 0;
  const int group = fields.integer(key, kMaxGroup, 128);
  if (group != 16 && group != 32 && group != 64 && group != 128) fields.wrong(key, "16, 32, 64, 128 or -1");
  return group;
}

// Keys of AutoGPTQ's and GPTQModel's BaseQuantizeConfig.
PackedFormat gptq(const Fields& fields) {
  PackedFormat format{PackedFormat::Method::Gptq, 4, group_of(fields, "group_size"), true, fields.source()};
  format.bits = fields.integer("bits", 8);
  if (format.bits != 4 && format.bits != 8) fields.wrong("bits", "4 or 8");
  const std::string packing = in_lower_case(fields.string("checkpoint_format", "gptq"));
  if (packing != "gptq" && packing != "gptq_v2") fields.wrong("checkpoint_format", "gptq or gptq_v2");
  if (fields.boolean("is_marlin_format", false)) fields.wrong("is_marlin_format", "false");
  format.less_one = packing == "gptq";
  return format;
}

// Keys of transformers' AwqConfig, and of AutoAWQ's own file.
PackedFormat awq(const Fields& fields) {
  const char* bits = fields.find("w_bit") ? "w_bit" : "bits";
  const char* group = fields.find("q_group_size") ? "q_group_size" : "group_size";
  if (fields.integer(bits, 8) != 4) fields.wrong(bits, "4");
  if (in_lower_case(fields.string("version", "gemm")) != "gemm") fields.wrong("version", "gemm");
  if (!fields.boolean("zero_point", true)) fields.wrong("zero_point", "true");
  return {PackedFormat::Method::Awq, 4, group_of(fields, group), false, fields.source()};
}

std::optional<Json> read_json(const std::string& path) {
  std::error_code ignored;  // opening it will tell
  if (!std::filesystem::exists(path, ignored)) return std::nullopt;
  const MappedFile file(path, kMaxFile);
  Json json = Json::parse(file.text(), path);
  check(json.is_object(), path, " must hold an object, not ", json.describe());
  return json;
}

}  // namespace

std::optional<PackedFormat> declared_format(const std::string& folder) {
  const std::string path = folder + "/config.json";
  const std::optional<Json> json = read_json(path);
  const Json* object = json ? json->find("quantization_config") : nullptr;
  if (!object || object->is_null()) return std::nullopt;
  const std::string source = path + ", in \"quantization_config\"";
  check(object->is_object(), path, ": \"quantization_config\" is ", object->describe(), "; expected is an object");
  const Fields fields(source, *object);
  const std::string method = in_lower_case(fields.string("quant_method", ""));
  if (method == "gptq") return gptq(fields);
  if (method == "awq") return awq(fields);
  fields.wrong("quant_method", "gptq or awq; other models are read as float32, bfloat16, float16 or GGUF");
}

PackedFormat older_format(const std::string& folder) {
  const std::string of_gptq = folder + "/quantize_config.json", of_awq = folder + "/quant_config.json";
  if (const std::optional<Json> json = read_json(of_gptq)) return gptq(Fields(of_gptq, *json));
  if (const std::optional<Json> json = read_json(of_awq)) return awq(Fields(of_awq, *json));
  fail(folder, " holds packed integers (.qweight), but config.json has no \"quantization_config\" and ",
       "neither quantize_config.json (GPTQ) nor quant_config.json (AWQ) is there");
}

}  // namespace gattling
