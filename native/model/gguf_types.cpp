#include "model/gguf_types.h"

#include <algorithm>
#include <array>

namespace gattling {
namespace {

struct Row {
  uint32_t number;
  GgmlBlock block;
};

// ggml.h's enum ggml_type and the type_traits of ggml.c. 4 and 5 were gone before GGUF came.
constexpr std::array kTypes = {
    Row{0, {"F32", 1, 4}},           Row{1, {"F16", 1, 2}},           Row{2, {"Q4_0", 32, 18}},
    Row{3, {"Q4_1", 32, 20}},        Row{6, {"Q5_0", 32, 22}},        Row{7, {"Q5_1", 32, 24}},
    Row{8, {"Q8_0", 32, 34}},        Row{9, {"Q8_1", 32, 40}},        Row{10, {"Q2_K", 256, 84}},
    Row{11, {"Q3_K", 256, 110}},     Row{12, {"Q4_K", 256, 144}},     Row{13, {"Q5_K", 256, 176}},
    Row{14, {"Q6_K", 256, 210}},     Row{15, {"Q8_K", 256, 292}},     Row{16, {"IQ2_XXS", 256, 66}},
    Row{17, {"IQ2_XS", 256, 74}},    Row{18, {"IQ3_XXS", 256, 98}},   Row{19, {"IQ1_S", 256, 50}},
    Row{20, {"IQ4_NL", 32, 18}},     Row{21, {"IQ3_S", 256, 110}},    Row{22, {"IQ2_S", 256, 82}},
    Row{23, {"IQ4_XS", 256, 136}},   Row{24, {"I8", 1, 1}},           Row{25, {"I16", 1, 2}},
    Row{26, {"I32", 1, 4}},          Row{27, {"I64", 1, 8}},          Row{28, {"F64", 1, 8}},
    Row{29, {"IQ1_M", 256, 56}},     Row{30, {"BF16", 1, 2}},         Row{31, {"Q4_0_4_4", 32, 18}},
    Row{32, {"Q4_0_4_8", 32, 18}},   Row{33, {"Q4_0_8_8", 32, 18}},   Row{34, {"TQ1_0", 256, 54}},
    Row{35, {"TQ2_0", 256, 66}},     Row{36, {"IQ4_NL_4_4", 32, 18}}, Row{37, {"IQ4_NL_4_8", 32, 18}},
    Row{38, {"IQ4_NL_8_8", 32, 18}}, Row{39, {"MXFP4", 32, 17}},      Row{40, {"NVFP4", 64, 36}},
    Row{41, {"Q1_0", 128, 18}},
};

constexpr std::array kServed = {
    GgmlType::F32,  GgmlType::F16,  GgmlType::BF16, GgmlType::Q8_0, GgmlType::Q4_0, GgmlType::Q4_1, GgmlType::Q5_0,
    GgmlType::Q5_1, GgmlType::Q2_K, GgmlType::Q3_K, GgmlType::Q4_K, GgmlType::Q5_K, GgmlType::Q6_K,
};

}  // namespace

const GgmlBlock* ggml_block(uint32_t type) {
  const auto at = std::ranges::find(kTypes, type, &Row::number);
  return at == kTypes.end() ? nullptr : &at->block;
}

std::optional<DType> plain_dtype(GgmlType type) {
  if (type == GgmlType::F32) return DType::F32;
  if (type == GgmlType::F16) return DType::F16;
  if (type == GgmlType::BF16) return DType::BF16;
  return std::nullopt;
}

bool is_served(uint32_t type) {
  return std::ranges::find(kServed, static_cast<GgmlType>(type)) != kServed.end();
}

std::string served_ggml_types() {
  std::string out;
  for (GgmlType type : kServed) {
    if (!out.empty()) out += type == kServed.back() ? " and " : ", ";
    out += ggml_block(static_cast<uint32_t>(type))->name;
  }
  return out;
}

}  // namespace gattling
