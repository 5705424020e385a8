// NativeEngine of src/native/addon.ts: the engine's verbs, and its events on the JavaScript thread.
#pragma once

#include <napi.h>

#include <memory>
#include <string>
#include <unordered_map>

#include "core/engine.h"

namespace gattling::addon {

// What the loop thread and the JavaScript thread share. The loop thread only wakes; all else happens on the JavaScript
// thread.
struct Bridge {
  std::unique_ptr<Engine> engine;
  Napi::ThreadSafeFunction wake;
  std::unordered_map<uint64_t, Napi::Promise::Deferred> asked;  // stats() calls waiting for the loop's answer
  uint64_t n_asked = 0;
  int64_t n_live = 0;    // submitted, and their Finish not yet delivered
  bool working = false;  // the wake keeps the process alive
  bool closed = false;

  // Drains the outbox into promises and one call of on_step.
  void deliver(Napi::Env env, const Napi::Function& on_step);
  // An engine that owes an answer keeps the process alive; an idle one does not.
  void attend(Napi::Env env);
  // Rejects the stats() calls that nobody will answer.
  void refuse(Napi::Env env, const std::string& reason);
};

class EngineObject final : public Napi::ObjectWrap<EngineObject> {
 public:
  static Napi::Function define(Napi::Env env);
  // Starts the loop and wraps it. `constructor` is what define() returned.
  static Napi::Object create(const Napi::Function& constructor, std::unique_ptr<Model> model, bool prefix_caching,
                             double load_milliseconds, const Napi::Function& on_step);

  explicit EngineObject(const Napi::CallbackInfo& info);

 private:
  friend class CloseWorker;

  Napi::Value submit(const Napi::CallbackInfo& info);
  void cancel(const Napi::CallbackInfo& info);
  void mask(const Napi::CallbackInfo& info);
  Napi::Value stats(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);
  Engine& open_engine(Napi::Env env) const;

  std::shared_ptr<Bridge> bridge_;
  Napi::FunctionReference on_step_;
  Napi::Reference<Napi::Promise> closing_;  // what close() returned
};

}  // namespace gattling::addon
