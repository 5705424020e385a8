#include "addon/convert.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "backend/quantise.h"

namespace gattling::addon {

namespace {

[[noreturn]] void expected(const Napi::Object& object, const char* key, const char* what) {
  throw Napi::TypeError::New(object.Env(), std::string(key) + " must be " + what);
}

int get_int(const Napi::Object& object, const char* key) {
  const double value = get_number(object, key);
  if (!(std::abs(value) <= std::numeric_limits<int32_t>::max()) || value != std::floor(value))
    expected(object, key, "a 32-bit integer");
  return static_cast<int>(value);
}

float get_float(const Napi::Object& object, const char* key) {
  return static_cast<float>(get_number(object, key));
}

bool get_bool(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsBoolean()) expected(object, key, "a boolean");
  return value.As<Napi::Boolean>();
}

template <typename T>
std::span<const T> get_array(const Napi::Object& object, const char* key, napi_typedarray_type type, const char* what) {
  const Napi::Value value = object.Get(key);
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type) expected(object, key, what);
  const auto array = value.As<Napi::TypedArrayOf<T>>();
  return {array.Data(), array.ElementLength()};
}

// Ids past 2^31 become negative, which the engine refuses.
std::vector<int32_t> get_ids(const Napi::Object& object, const char* key) {
  const auto ids = get_array<uint32_t>(object, key, napi_uint32_array, "a Uint32Array");
  return {ids.begin(), ids.end()};
}

std::optional<DType> get_dtype(const Napi::Object& object, const char* key) {
  const std::string name = get_string(object, key);
  if (name == name_of(DType::Int8) && std::strcmp(key, "kvCacheDtype") == 0) return DType::Int8;
  for (DType dtype : {DType::F32, DType::BF16, DType::F16})
    if (name == name_of(dtype)) return dtype;
  if (name != "auto") expected(object, key, "auto, float32, bfloat16 or float16");
  return std::nullopt;
}

FakeOptions to_fake(const Napi::Object& fake, const LoadOptions& load) {
  FakeOptions options;
  options.vocab_size = get_int(fake, "vocabSize");
  options.max_model_len = get_int(fake, "maxModelLen");
  options.step_microseconds = get_int(fake, "stepMicroseconds");
  options.depth = get_bool(fake, "asynchronous") ? 1 : 0;
  options.max_num_seqs = load.max_num_seqs;
  options.max_num_batched_tokens = load.max_num_batched_tokens;
  options.block_size = load.block_size;
  if (options.vocab_size < 1 || options.max_model_len < 1) expected(fake, "vocabSize and maxModelLen", "positive");
  return options;
}

template <typename Array, typename T>
Array from_vector(Napi::Env env, const std::vector<T>& values) {
  static_assert(sizeof(typename std::remove_pointer_t<decltype(std::declval<Array>().Data())>) == sizeof(T));
  Array array = Array::New(env, values.size());
  if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size() * sizeof(T));
  return array;
}

}  // namespace

Quantization get_quantization(const Napi::Object& object, const char* key) {
  const std::string name = get_string(object, key);
  for (Quantization value : {Quantization::None, Quantization::Int8, Quantization::Int4, Quantization::Int4G128})
    if (name == name_of(value)) return value;
  expected(object, key, "none, int8, int4 or int4-g128");
}

std::string get_string(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsString()) expected(object, key, "a string");
  return value.As<Napi::String>();
}

double get_number(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsNumber()) expected(object, key, "a number");
  return value.As<Napi::Number>();
}

uint64_t get_size(const Napi::Object& object, const char* key) {
  const double value = get_number(object, key);
  if (!(value >= 0 && value < 0x1p53)) expected(object, key, "a number from 0 to 2^53");
  return static_cast<uint64_t>(value);
}

EngineOptions to_engine_options(const Napi::Object& o) {
  EngineOptions options;
  options.load.folder = get_string(o, "model");
  options.load.device = get_string(o, "device");
  options.load.dtype = get_dtype(o, "dtype");
  options.load.kv_dtype = get_dtype(o, "kvCacheDtype");
  options.load.quantization = get_quantization(o, "quantization");
  options.load.max_model_len = get_int(o, "maxModelLen");
  // 0 leaves the default.
  if (const int n = get_int(o, "maxNumSeqs")) options.load.max_num_seqs = n;
  if (const int n = get_int(o, "maxNumBatchedTokens")) options.load.max_num_batched_tokens = n;
  if (const int n = get_int(o, "blockSize")) options.load.block_size = n;
  options.load.kv_cache_memory = get_size(o, "kvCacheMemory");
  options.load.threads = get_int(o, "threads");
  if (const double share = get_number(o, "gpuMemoryUtilization")) options.load.gpu_memory_utilization = share;
  options.load.deterministic = get_bool(o, "deterministic");
  options.prefix_caching = get_bool(o, "enablePrefixCaching");
  if (const Napi::Value fake = o.Get("fake"); fake.IsObject())
    options.fake = to_fake(fake.As<Napi::Object>(), options.load);
  return options;
}

std::unique_ptr<Sequence> to_sequence(const Napi::Object& request) {
  auto sequence = std::make_unique<Sequence>();
  sequence->tokens = get_ids(request, "tokens");
  sequence->max_tokens = get_int(request, "maxTokens");
  sequence->top = get_int(request, "logprobs");
  sequence->prompt_top = get_int(request, "promptLogprobs");
  sequence->constrained = get_bool(request, "constrained");

  Sampling& sampling = sequence->sampling;
  sampling.min_tokens = get_int(request, "minTokens");
  sampling.temperature = get_float(request, "temperature");
  sampling.top_k = get_int(request, "topK");
  sampling.top_p = get_float(request, "topP");
  sampling.min_p = get_float(request, "minP");
  sampling.presence_penalty = get_float(request, "presencePenalty");
  sampling.frequency_penalty = get_float(request, "frequencyPenalty");
  sampling.repetition_penalty = get_float(request, "repetitionPenalty");
  const Napi::Value seed = request.Get("seed");
  if (!seed.IsBigInt()) expected(request, "seed", "a bigint");
  bool lossless;
  sampling.seed = seed.As<Napi::BigInt>().Uint64Value(&lossless);
  sampling.stop_ids = get_ids(request, "stopTokenIds");

  const std::vector<int32_t> ids = get_ids(request, "biasIds");
  const auto values = get_array<float>(request, "biasValues", napi_float32_array, "a Float32Array");
  if (values.size() != ids.size()) expected(request, "biasValues", "as long as biasIds");
  for (size_t i = 0; i < ids.size(); ++i) sampling.bias.emplace_back(ids[i], values[i]);

  const auto salt = get_array<uint8_t>(request, "salt", napi_uint8_array, "a Uint8Array");
  if (salt.size() != sequence->table.salt.size()) expected(request, "salt", "16 bytes");
  std::ranges::copy(salt, sequence->table.salt.begin());
  return sequence;
}

Napi::Object from_info(Napi::Env env, const ModelInfo& info, double load_milliseconds) {
  Napi::Object out = Napi::Object::New(env);
  out["device"] = info.backend.device;
  out["unit"] = info.backend.unit;
  out["architecture"] = info.architecture;
  out["dtype"] = name_of(info.dtype);
  out["kvCacheDtype"] = name_of(info.kv_dtype);
  out["quantization"] = name_of(info.quantization);
  const std::pair<const char*, double> numbers[] = {
      {"threads", info.backend.threads},
      {"vocabSize", info.vocab_size},
      {"hiddenSize", info.hidden_size},
      {"numLayers", info.n_layers},
      {"numHeads", info.n_heads},
      {"numKvHeads", info.n_kv_heads},
      {"headDim", info.head_dim},
      {"maxModelLen", info.max_model_len},
      {"modelMaxLen", info.max_position},
      {"maxNumSeqs", info.max_num_seqs},
      {"maxNumBatchedTokens", info.max_num_batched_tokens},
      {"blockSize", info.block_size},
      {"numBlocks", info.n_blocks},
      {"weightBytes", static_cast<double>(info.weight_bytes)},
      {"kvBytes", static_cast<double>(info.kv_bytes)},
      {"kvBytesPerToken", static_cast<double>(info.kv_bytes) / info.n_blocks / info.block_size},
      {"loadMilliseconds", load_milliseconds},
  };
  for (const auto& [key, value] : numbers) out[key] = value;
  return out;
}

Napi::Object from_stats(Napi::Env env, const EngineStats& stats) {
  Napi::Object out = Napi::Object::New(env);
  const std::pair<const char*, double> numbers[] = {
      {"running", stats.n_running},
      {"waiting", stats.n_waiting},
      {"freeBlocks", stats.n_free_blocks},
      {"numBlocks", stats.n_blocks},
      {"steps", static_cast<double>(stats.n_steps)},
      {"preemptions", static_cast<double>(stats.n_preemptions)},
      {"promptTokens", static_cast<double>(stats.n_prompt_tokens)},
      {"cachedTokens", static_cast<double>(stats.n_cached_tokens)},
      {"generatedTokens", static_cast<double>(stats.n_generated_tokens)},
  };
  for (const auto& [key, value] : numbers) out[key] = value;
  return out;
}

Napi::Object from_events(Napi::Env env, const Events& events) {
  Napi::Object out = Napi::Object::New(env);
  out["ids"] = from_vector<Napi::Uint32Array>(env, events.ids);
  out["kinds"] = from_vector<Napi::Uint8Array>(env, events.kinds);
  out["a"] = from_vector<Napi::Int32Array>(env, events.a);
  out["b"] = from_vector<Napi::Int32Array>(env, events.b);
  out["c"] = from_vector<Napi::Int32Array>(env, events.c);
  out["logprobs"] = from_vector<Napi::Float32Array>(env, events.logprobs);
  out["topIds"] = from_vector<Napi::Int32Array>(env, events.top_ids);
  Napi::Array errors = Napi::Array::New(env, events.errors.size());
  for (size_t i = 0; i < events.errors.size(); ++i) errors[static_cast<uint32_t>(i)] = events.errors[i];
  out["errors"] = errors;
  return out;
}

}  // namespace gattling::addon
