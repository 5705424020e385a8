// JavaScript objects to plain structs and back. src/native/addon.ts is the contract.
#pragma once

#include <napi.h>

#include <memory>
#include <optional>
#include <string>

#include "core/engine.h"
#include "model/fake.h"
#include "model/load.h"

namespace gattling::addon {

struct EngineOptions {
  LoadOptions load;
  bool prefix_caching = true;
  std::optional<FakeOptions> fake;
};

EngineOptions to_engine_options(const Napi::Object& options);
std::unique_ptr<Sequence> to_sequence(const Napi::Object& request);
Napi::Object from_info(Napi::Env env, const ModelInfo& info, double load_milliseconds);
Napi::Object from_stats(Napi::Env env, const EngineStats& stats);
Napi::Object from_events(Napi::Env env, const Events& events);

// Throws a JavaScript TypeError that names what should have been there.
std::string get_string(const Napi::Object& object, const char* key);
double get_number(const Napi::Object& object, const char* key);
uint64_t get_size(const Napi::Object& object, const char* key);
Quantization get_quantization(const Napi::Object& object, const char* key);

}  // namespace gattling::addon
