#include "model/gguf_convert.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "backend/error.h"
#include "backend/parts.h"
#include "model/checkpoint.h"
#include "model/gguf_tensors.h"
#include "model/gguf_write.h"
#include "model/json.h"
#include "model/output_folder.h"
#include "model/rope.h"
#include "model/weights.h"

namespace gattling {
namespace {

struct Written {
  const char* name;
  GgmlType type;
  uint32_t file_type;  // llama.cpp's LLAMA_FTYPE
};

constexpr std::array kTypes = {
    Written{"f32", GgmlType::F32, 0},   Written{"f16", GgmlType::F16, 1},   Written{"bf16", GgmlType::BF16, 32},
    Written{"q8_0", GgmlType::Q8_0, 7}, Written{"q4_0", GgmlType::Q4_0, 2},
};
constexpr uint32_t kQuantizationVersion = 2;  // GGML_QNT_VERSION

bool is_qwen2(const ModelConfig& config) {
  return config.architecture == "Qwen2ForCausalLM";
}

void describe(const ModelConfig& config, GgmlType type, GgufHeader& header) {
  const std::string name = is_qwen2(config) ? "qwen2" : "llama", a = name + ".";
  const auto u32 = [&](const char* key, int64_t value) { header.u32(a + key, static_cast<uint32_t>(value)); };
  header.string("general.architecture", name);
  for (const Written& written : kTypes)
    if (written.type == type) header.u32("general.file_type", written.file_type);
  header.u32("general.quantization_version", kQuantizationVersion);
  u32("block_count", config.n_layers);
  u32("context_length", config.max_position);
  u32("embedding_length", config.hidden_size);
  u32("feed_forward_length", config.ffn_size);
  u32("attention.head_count", config.n_heads);
  u32("attention.head_count_kv", config.n_kv_heads);
  u32("attention.key_length", config.head_dim);
  u32("attention.value_length", config.head_dim);
  u32("rope.dimension_count", config.head_dim);
  u32("vocab_size", config.vocab_size);
  header.f32(a + "attention.layer_norm_rms_epsilon", config.rms_eps);
  header.f32(a + "rope.freq_base", static_cast<float>(config.rope.theta));
  if (config.sliding_window > 0) u32("attention.sliding_window", config.sliding_window);
  if (config.rope.type == RopeType::Linear) {
    header.string(a + "rope.scaling.type", "linear");
    header.f32(a + "rope.scaling.factor", static_cast<float>(config.rope.factor));
  }
}

// Llama 3.1's rule as what it makes of each frequency.
std::vector<float> factors_of(const ModelConfig& config) {
  if (config.rope.type != RopeType::Llama3) return {};
  const std::vector<float> scaled = inv_freq(config.rope, config.head_dim);
  std::vector<float> factors = inv_freq({RopeType::Default, config.rope.theta}, config.head_dim);
  for (size_t i = 0; i < factors.size(); ++i) factors[i] /= scaled[i];
  return factors;
}

// Plain numbers of their own type; of integers what keeps their scales.
GgmlType type_of(const HostTensor& tensor) {
  if (tensor.quantised || tensor.dtype == DType::F16) return GgmlType::F16;
  return tensor.dtype == DType::BF16 ? GgmlType::BF16 : GgmlType::F32;
}

struct Output {
  HostTensor tensor;  // [n, k]; a vector is [n, 1]
  GgmlType type;
  uint64_t offset;
  bool paired;  // rows of each head as llama.cpp has them: both of a rotated pair next to each other
};

class Converter {
 public:
  explicit Converter(const GgufConversion& conversion)
      : conversion_(conversion),
        checkpoint_(Checkpoint::open(conversion.folder)),
        config_(checkpoint_.config()),
        factors_(factors_of(config_)) {
    const TensorSpec table = embedding_spec(config_).parts[0];
    const GgmlType type = conversion.type.value_or(type_of(checkpoint_.expect(table.name, table.shape)));
    describe(config_, type, header_);
    header_.fields(conversion.fields, conversion.n_fields);
    if (!factors_.empty())
      factors_at_ = header_.tensor(kRopeFactors, {static_cast<int64_t>(factors_.size())}, GgmlType::F32);
    for (const TensorSpec& spec : tensor_specs(config_)) add(checkpoint_.expect(spec.name, spec.shape));
    checkpoint_.refuse_other_biases(config_.architecture);
  }

  uint64_t write(const std::function<void(uint64_t, uint64_t)>& progress) {
    const std::filesystem::path path(conversion_.out);
    const std::string name = path.filename();
    OutputFolder folder(path.has_parent_path() ? path.parent_path().string() : ".");
    check(!folder.holds(name), conversion_.out, " is there already; choose another name, or remove it first");
    const std::string head = header_.bytes();
    folder.check_space(head.size() + header_.data_bytes());
    OutputFile file = folder.add(name);
    file.write(head, 0);
    if (!factors_.empty()) file.write(std::as_bytes(std::span(factors_)), head.size() + factors_at_);
    // The padding after the last tensor belongs to the file.
    file.write(std::string_view("\0", 1), head.size() + header_.data_bytes() - 1);
    for (const Output& output : outputs_) {
      progress(output.offset, header_.data_bytes());
      checkpoint_.prefetch(output.tensor.name);
      write_tensor(output, file, head.size() + output.offset);
      checkpoint_.release(output.tensor.name);
    }
    file.close();
    folder.commit();
    progress(header_.data_bytes(), header_.data_bytes());
    return head.size() + header_.data_bytes();
  }

 private:
  void add(const HostTensor& tensor) {
    const std::string name = gguf_name(tensor.name);
    const bool matrix = tensor.shape.size() == 2, qk = tensor.name.find("q_proj.") != std::string::npos ||
                                                       tensor.name.find("k_proj.") != std::string::npos;
    GgmlType type = matrix ? conversion_.type.value_or(type_of(tensor)) : GgmlType::F32;
    if (matrix && tensor.shape[1] % ggml_block(static_cast<uint32_t>(type))->elements != 0) type = GgmlType::F16;
    outputs_.push_back({tensor, type, header_.tensor(name, tensor.shape, type), qk && !is_qwen2(config_)});
    if (!matrix) outputs_.back().tensor.shape.push_back(1);
  }

  // The model's row that lies at `row` of the file.
  int64_t row_at(const Output& output, int64_t row) const {
    if (!output.paired) return row;
    const int64_t half = config_.head_dim / 2, in_head = row % config_.head_dim;
    return row - in_head + in_head % 2 * half + in_head / 2;
  }

  void write_tensor(const Output& output, const OutputFile& file, uint64_t offset) const {
    constexpr int64_t kRun = 1 << 20;  // elements written at a time
    const int64_t n = output.tensor.shape[0], k = output.tensor.shape[1], rows = std::max<int64_t>(1, kRun / k);
    const uint64_t row_bytes = ggml_bytes(output.type, k);
    std::vector<float> row(static_cast<size_t>(k));
    std::vector<std::byte> bytes(static_cast<size_t>(std::min(n, rows)) * row_bytes);
    for (int64_t first = 0; first < n; first += rows) {
      const int64_t count = std::min(rows, n - first);
      for (int64_t i = 0; i < count; ++i) {
        read_columns(output.tensor, row_at(output, first + i), 0, k, row.data());
        check(can_write(output.type, row), "tensor ", in_quotes(output.tensor.name),
              " holds numbers that are not finite, or too large for ",
              ggml_block(static_cast<uint32_t>(output.type))->name);
        write_ggml(output.type, row.data(), k, bytes.data() + static_cast<size_t>(i) * row_bytes);
      }
      file.write({bytes.data(), static_cast<size_t>(count) * row_bytes},
                 offset + static_cast<uint64_t>(first) * row_bytes);
    }
  }

  const GgufConversion& conversion_;
  Checkpoint checkpoint_;
  ModelConfig config_;
  std::vector<float> factors_;
  uint64_t factors_at_ = 0;
  GgufHeader header_;
  std::vector<Output> outputs_;
};

}  // namespace

std::optional<GgmlType> written_type(std::string_view name) {
  for (const Written& written : kTypes)
    if (name == written.name) return written.type;
  return std::nullopt;
}

uint64_t convert_to_gguf(const GgufConversion& conversion, const std::function<void(uint64_t, uint64_t)>& progress) {
  return Converter(conversion).write(progress);
}

}  // namespace gattling
