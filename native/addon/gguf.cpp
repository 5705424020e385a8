#include "addon/gguf.h"

#include <cstring>
#include <string>

#include "model/gguf.h"
#include "model/gguf_types.h"

namespace gattling::addon {
namespace {

constexpr int64_t kExact = int64_t{1} << 53;  // integers of a double are exact from -2^53 to 2^53

Napi::String to_string(Napi::Env env, std::string_view text) {
  return Napi::String::New(env, text.data(), text.size());
}

Napi::Value to_integer(Napi::Env env, const GgufValue& value) {
  const uint64_t bits = value.bits();
  const auto integer = static_cast<int64_t>(bits);
  if (value.type == GgufType::Uint64 ? bits <= kExact : integer >= -kExact && integer <= kExact)
    return Napi::Number::New(env, static_cast<double>(integer));
  if (value.type == GgufType::Uint64) return Napi::BigInt::New(env, bits);
  return Napi::BigInt::New(env, integer);
}

Napi::Value to_strings(Napi::Env env, const GgufValue& value) {
  const Napi::Array out = Napi::Array::New(env, value.n);
  uint32_t i = 0;
  for (std::string_view text : value.strings()) {
    const Napi::HandleScope scope(env);  // a vocabulary is 100,000 strings
    out.Set(i++, to_string(env, text));
  }
  return out;
}

napi_typedarray_type array_type(GgufType element) {
  switch (element) {
    case GgufType::Int8:
      return napi_int8_array;
    case GgufType::Uint16:
      return napi_uint16_array;
    case GgufType::Int16:
      return napi_int16_array;
    case GgufType::Uint32:
      return napi_uint32_array;
    case GgufType::Int32:
      return napi_int32_array;
    case GgufType::Float32:
      return napi_float32_array;
    case GgufType::Float64:
      return napi_float64_array;
    case GgufType::Uint64:
      return napi_biguint64_array;
    case GgufType::Int64:
      return napi_bigint64_array;
    default:
      return napi_uint8_array;
  }
}

Napi::Value to_numbers(Napi::Env env, const GgufValue& value) {
  Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(env, value.data.size());
  if (!value.data.empty()) std::memcpy(buffer.Data(), value.data.data(), value.data.size());
  if (value.type == GgufType::Bool) {
    auto* flags = static_cast<uint8_t*>(buffer.Data());
    for (uint64_t i = 0; i < value.n; ++i) flags[i] = flags[i] != 0;
  }
  napi_value out;
  const napi_status status = napi_create_typedarray(env, array_type(value.type), value.n, buffer, 0, &out);
  NAPI_THROW_IF_FAILED(env, status, Napi::Value());
  return Napi::Value(env, out);
}

Napi::Value to_value(Napi::Env env, const GgufValue& value) {
  if (value.is_array) return value.type == GgufType::String ? to_strings(env, value) : to_numbers(env, value);
  if (value.is_string()) return to_string(env, value.string());
  if (value.is(GgufType::Bool)) return Napi::Boolean::New(env, value.number() != 0);
  return value.is_float() ? Napi::Number::New(env, value.number()) : to_integer(env, value);
}

// An object without a prototype: keys come from the file, `__proto__` like any other.
Napi::Object bare_object(Napi::Env env) {
  const auto create = env.Global().Get("Object").As<Napi::Object>().Get("create").As<Napi::Function>();
  return create.Call({env.Null()}).As<Napi::Object>();
}

Napi::Object to_tensor(Napi::Env env, const GgufTensor& tensor) {
  Napi::Object out = Napi::Object::New(env);
  out["name"] = to_string(env, tensor.name);
  out["type"] = ggml_block(tensor.type)->name;
  const Napi::Array shape = Napi::Array::New(env, tensor.shape.size());
  for (uint32_t i = 0; i < tensor.shape.size(); ++i) shape.Set(i, static_cast<double>(tensor.shape[i]));
  out["shape"] = shape;
  out["bytes"] = static_cast<double>(tensor.data.size());
  return out;
}

}  // namespace

Napi::Value read_gguf(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsString()) throw Napi::TypeError::New(env, "path must be a string");
  const Gguf file(info[0].As<Napi::String>());
  const GgufContents& contents = file.contents;
  Napi::Object metadata = bare_object(env);
  for (const GgufField& field : contents.metadata) metadata.Set(to_string(env, field.key), to_value(env, field.value));
  const Napi::Array tensors = Napi::Array::New(env, contents.tensors.size());
  for (uint32_t i = 0; i < contents.tensors.size(); ++i) tensors.Set(i, to_tensor(env, contents.tensors[i]));
  Napi::Object out = Napi::Object::New(env);
  out["version"] = static_cast<double>(contents.version);
  out["metadata"] = metadata;
  out["tensors"] = tensors;
  return out;
}

}  // namespace gattling::addon
