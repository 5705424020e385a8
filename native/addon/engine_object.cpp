#include "addon/engine_object.h"

#include <utility>

#include "addon/convert.h"

namespace gattling::addon {

void Bridge::deliver(Napi::Env env, const Napi::Function& on_step) {
  const Mail mail = engine->drain();
  for (const StatsReply& reply : mail.replies) {
    const auto found = asked.find(reply.request);
    found->second.Resolve(from_stats(env, reply.stats));
    asked.erase(found);
  }
  if (!mail.events.empty()) on_step.Call({from_events(env, mail.events)});
}

// Joins the loop off the JavaScript thread, then delivers what it said last.
class CloseWorker final : public Napi::AsyncWorker {
 public:
  CloseWorker(Napi::Env env, std::shared_ptr<Bridge> bridge, const Napi::Function& on_step)
      : Napi::AsyncWorker(env), bridge_(std::move(bridge)), deferred_(env), on_step_(Napi::Persistent(on_step)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }
  void Execute() override { bridge_->engine->close(); }
  void OnOK() override {
    bridge_->deliver(Env(), on_step_.Value());
    bridge_->wake.Release();
    for (auto& [request, deferred] : bridge_->asked)
      deferred.Reject(Napi::Error::New(Env(), "the engine is closed").Value());
    bridge_->asked.clear();
    bridge_->engine->unload();
    deferred_.Resolve(Env().Undefined());
  }

 private:
  std::shared_ptr<Bridge> bridge_;
  Napi::Promise::Deferred deferred_;
  Napi::FunctionReference on_step_;
};

Napi::Function EngineObject::define(Napi::Env env) {
  return DefineClass(env, "NativeEngine",
                     {InstanceMethod<&EngineObject::submit>("submit"), InstanceMethod<&EngineObject::cancel>("cancel"),
                      InstanceMethod<&EngineObject::mask>("mask"), InstanceMethod<&EngineObject::stats>("stats"),
                      InstanceMethod<&EngineObject::close>("close")});
}

Napi::Object EngineObject::create(const Napi::Function& constructor, std::unique_ptr<Model> model, bool prefix_caching,
                                  double load_milliseconds, const Napi::Function& on_step) {
  Napi::Env env = constructor.Env();
  auto bridge = std::make_shared<Bridge>();
  // The finalizer holds the bridge as long as a call may still be queued.
  bridge->wake = Napi::ThreadSafeFunction::New(env, on_step, "gattling.onStep", 0, 1, [bridge](Napi::Env) {});
  bridge->engine = std::make_unique<Engine>(std::move(model), prefix_caching, [b = bridge.get()] {
    b->wake.NonBlockingCall([b](Napi::Env env, Napi::Function on_step) {
      if (!b->closed) b->deliver(env, on_step);
    });
  });
  const Napi::Object object = constructor.New({Napi::External<std::shared_ptr<Bridge>>::New(env, &bridge), on_step});
  object.Set("info", from_info(env, bridge->engine->info(), load_milliseconds));
  // Registered after the thread-safe function's own hook, so that it runs before: the loop must not wake what is gone.
  env.AddCleanupHook([weak = std::weak_ptr(bridge)] {
    if (const auto bridge = weak.lock()) bridge->engine->close();
  });
  return object;
}

EngineObject::EngineObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<EngineObject>(info) {
  if (info.Length() != 2 || !info[0].IsExternal())
    throw Napi::TypeError::New(info.Env(), "NativeEngine is made by createEngine()");
  bridge_ = *info[0].As<Napi::External<std::shared_ptr<Bridge>>>().Data();
  on_step_ = Napi::Persistent(info[1].As<Napi::Function>());
}

Engine& EngineObject::open_engine(Napi::Env env) const {
  if (bridge_->closed) throw Napi::Error::New(env, "the engine is closed");
  return *bridge_->engine;
}

// C++ errors become JavaScript's.
template <typename Call>
auto guarded(Napi::Env env, Call call) {
  try {
    return call();
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Napi::Error::New(env, error.what());
  }
}

Napi::Value EngineObject::submit(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    Engine& engine = open_engine(info.Env());
    if (!info[0].IsObject()) throw Napi::TypeError::New(info.Env(), "submit() takes a request object");
    return Napi::Number::New(info.Env(), engine.submit(to_sequence(info[0].As<Napi::Object>())));
  });
}

void EngineObject::cancel(const Napi::CallbackInfo& info) {
  if (!bridge_->closed && info[0].IsNumber()) bridge_->engine->cancel(info[0].As<Napi::Number>().Uint32Value());
}

void EngineObject::mask(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    Engine& engine = open_engine(info.Env());
    if (!info[0].IsNumber() || !info[1].IsNumber() || !info[2].IsTypedArray() ||
        info[2].As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array)
      throw Napi::TypeError::New(info.Env(), "mask() takes an id, a position and a Uint32Array");
    const auto bits = info[2].As<Napi::Uint32Array>();
    engine.mask(info[0].As<Napi::Number>().Uint32Value(), info[1].As<Napi::Number>().Int32Value(),
                {bits.Data(), bits.Data() + bits.ElementLength()});
  });
}

Napi::Value EngineObject::stats(const Napi::CallbackInfo& info) {
  Napi::Promise::Deferred deferred(info.Env());
  if (bridge_->closed) {
    deferred.Reject(Napi::Error::New(info.Env(), "the engine is closed").Value());
    return deferred.Promise();
  }
  const uint64_t request = ++bridge_->n_asked;
  bridge_->asked.emplace(request, deferred);
  bridge_->engine->stats(request);
  return deferred.Promise();
}

Napi::Value EngineObject::close(const Napi::CallbackInfo& info) {
  if (std::exchange(bridge_->closed, true)) {
    Napi::Promise::Deferred done(info.Env());
    done.Resolve(info.Env().Undefined());
    return done.Promise();
  }
  auto* worker = new CloseWorker(info.Env(), bridge_, on_step_.Value());  // deletes itself
  worker->Queue();
  return worker->promise();
}

}  // namespace gattling::addon
