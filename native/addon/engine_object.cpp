#include "addon/engine_object.h"

#include <algorithm>
#include <utility>

#include "addon/callback.h"
#include "addon/convert.h"

namespace gattling::addon {

void Bridge::deliver(Napi::Env env, const Napi::Function& on_step) {
  const Mail mail = engine->drain();
  for (const StatsReply& reply : mail.replies) {
    const auto found = asked.find(reply.request);
    found->second.Resolve(from_stats(env, reply.stats));
    asked.erase(found);
  }
  n_live -= std::ranges::count(mail.events.kinds, static_cast<uint8_t>(EventKind::Finish));
  if (!mail.failure.empty()) {
    n_live = 0;
    refuse(env, mail.failure);
  }
  attend(env);
  if (!mail.events.empty()) call_back(on_step, from_events(env, mail.events));
}

void Bridge::attend(Napi::Env env) {
  const bool works = n_live > 0 || !asked.empty();
  if (closed || works == std::exchange(working, works)) return;
  works ? wake.Ref(env) : wake.Unref(env);
}

void Bridge::refuse(Napi::Env env, const std::string& reason) {
  for (auto& [request, deferred] : std::exchange(asked, {})) deferred.Reject(Napi::Error::New(env, reason).Value());
}

// Joins the loop and frees the model off the JavaScript thread, then delivers what the loop said last.
class CloseWorker final : public Napi::AsyncWorker {
 public:
  CloseWorker(Napi::Env env, std::shared_ptr<Bridge> bridge, const Napi::Function& on_step)
      : Napi::AsyncWorker(env), bridge_(std::move(bridge)), deferred_(env), on_step_(Napi::Persistent(on_step)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }
  void Execute() override {
    bridge_->engine->close();
    bridge_->engine->unload();
  }
  void OnOK() override {
    bridge_->wake.Release();
    bridge_->deliver(Env(), on_step_.Value());
    bridge_->refuse(Env(), "the engine is closed");
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
  bridge->wake.Unref(env);
  try {
    bridge->engine = std::make_unique<Engine>(std::move(model), prefix_caching, [b = bridge.get()] {
      b->wake.NonBlockingCall([b](Napi::Env env, Napi::Function on_step) {
        if (!b->closed) b->deliver(env, on_step);
      });
    });
  } catch (...) {
    bridge->wake.Release();
    throw;
  }
  // Registered after the thread-safe function's own hook, so that it runs before: the loop must not wake what is gone.
  env.AddCleanupHook([weak = std::weak_ptr(bridge)] {
    if (const auto bridge = weak.lock()) bridge->engine->close();
  });
  const Napi::Object object = constructor.New({Napi::External<std::shared_ptr<Bridge>>::New(env, &bridge), on_step});
  object.Set("info", from_info(env, bridge->engine->info(), load_milliseconds));
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

Napi::Value EngineObject::submit(const Napi::CallbackInfo& info) {
  Engine& engine = open_engine(info.Env());
  if (!info[0].IsObject()) throw Napi::TypeError::New(info.Env(), "submit() takes a request object");
  const uint32_t id = engine.submit(to_sequence(info[0].As<Napi::Object>()));
  ++bridge_->n_live;
  bridge_->attend(info.Env());
  return Napi::Number::New(info.Env(), id);
}

void EngineObject::cancel(const Napi::CallbackInfo& info) {
  if (!bridge_->closed && info[0].IsNumber()) bridge_->engine->cancel(info[0].As<Napi::Number>().Uint32Value());
}

void EngineObject::mask(const Napi::CallbackInfo& info) {
  Engine& engine = open_engine(info.Env());
  if (!info[0].IsNumber() || !info[1].IsNumber() || !info[2].IsTypedArray() ||
      info[2].As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array)
    throw Napi::TypeError::New(info.Env(), "mask() takes an id, a position and a Uint32Array");
  const auto bits = info[2].As<Napi::Uint32Array>();
  engine.mask(info[0].As<Napi::Number>().Uint32Value(), info[1].As<Napi::Number>().Int32Value(),
              {bits.Data(), bits.Data() + bits.ElementLength()});
}

Napi::Value EngineObject::stats(const Napi::CallbackInfo& info) {
  Napi::Promise::Deferred deferred(info.Env());
  try {
    const uint64_t request = ++bridge_->n_asked;
    open_engine(info.Env()).stats(request);
    bridge_->asked.emplace(request, deferred);
    bridge_->attend(info.Env());
  } catch (const Napi::Error& error) {
    deferred.Reject(error.Value());
  } catch (const std::exception& error) {
    deferred.Reject(Napi::Error::New(info.Env(), error.what()).Value());
  }
  return deferred.Promise();
}

Napi::Value EngineObject::close(const Napi::CallbackInfo& info) {
  if (!std::exchange(bridge_->closed, true)) {
    auto* worker = new CloseWorker(info.Env(), bridge_, on_step_.Value());  // deletes itself
    closing_ = Napi::Reference<Napi::Promise>::New(worker->promise(), 1);
    worker->Queue();
  }
  return closing_.Value();
}

}  // namespace gattling::addon
