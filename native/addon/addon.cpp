// The module: readGguf and planModel, and createEngine, synth, convert and quantize, which work off the JavaScript
// thread and report their progress on it.
#include <napi.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "addon/callback.h"
#include "addon/convert.h"
#include "addon/engine_object.h"
#include "addon/gguf.h"
#include "model/gguf_convert.h"
#include "model/quantize_folder.h"
#include "model/synth.h"

namespace gattling::addon {

namespace {

struct ProgressNote {
  uint64_t done;
  uint64_t total;
};

// Runs `work` on libuv's pool and resolves with what `finish` makes of it on the JavaScript thread.
class Job final : public Napi::AsyncProgressWorker<ProgressNote> {
 public:
  using Report = std::function<void(uint64_t done, uint64_t total)>;
  using Work = std::function<void(const Report&)>;
  using Finish = std::function<Napi::Value(Napi::Env)>;

  Job(const Napi::Function& on_progress, std::string stage, Work work, Finish finish)
      : AsyncProgressWorker(on_progress),
        deferred_(on_progress.Env()),
        stage_(std::move(stage)),
        work_(std::move(work)),
        finish_(std::move(finish)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

  void Execute(const ExecutionProgress& progress) override {
    work_([&](uint64_t done, uint64_t total) {
      const ProgressNote note{done, total};
      progress.Send(&note, 1);
    });
  }

  void OnProgress(const ProgressNote* note, size_t count) override {
    if (count == 0) return;
    Napi::Object out = Napi::Object::New(Env());
    out["stage"] = stage_;
    out["done"] = static_cast<double>(note->done);
    out["total"] = static_cast<double>(note->total);
    call_back(Callback().Value(), out);
  }

  void OnOK() override {
    try {
      deferred_.Resolve(finish_(Env()));
    } catch (const std::exception& error) {
      deferred_.Reject(Napi::Error::New(Env(), error.what()).Value());
    }
  }

  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  Napi::Promise::Deferred deferred_;
  std::string stage_;
  Work work_;
  Finish finish_;
};

Napi::Promise run(Job* job) {
  job->Queue();  // deletes itself
  return job->promise();
}

Napi::Function function_argument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (!info[index].IsFunction()) throw Napi::TypeError::New(info.Env(), std::string(name) + " must be a function");
  return info[index].As<Napi::Function>();
}

Napi::Object options_argument(const Napi::CallbackInfo& info) {
  if (!info[0].IsObject()) throw Napi::TypeError::New(info.Env(), "options must be an object");
  return info[0].As<Napi::Object>();
}

Job::Finish number_of(std::shared_ptr<uint64_t> bytes) {
  return [bytes](Napi::Env env) -> Napi::Value { return Napi::Number::New(env, static_cast<double>(*bytes)); };
}

Napi::Value create_engine(const Napi::CallbackInfo& info) {
  struct State {
    EngineOptions options;
    std::unique_ptr<Model> model;
    double milliseconds = 0;
    Napi::FunctionReference on_step;
  };
  auto state = std::make_shared<State>();
  state->options = to_engine_options(options_argument(info));
  state->on_step = Napi::Persistent(function_argument(info, 1, "onStep"));
  const auto load = [state](const Job::Report& report) {
    const auto start = std::chrono::steady_clock::now();
    state->model =
        state->options.fake ? make_fake_model(*state->options.fake) : load_model(state->options.load, report);
    state->milliseconds = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  };
  const auto wrap = [state](Napi::Env env) -> Napi::Value {
    const Napi::Function constructor = env.GetInstanceData<Napi::FunctionReference>()->Value();
    return EngineObject::create(constructor, std::move(state->model), state->options.prefix_caching,
                                state->milliseconds, state->on_step.Value());
  };
  return run(new Job(function_argument(info, 2, "onProgress"), "weights", load, wrap));
}

Napi::Value plan_engine(const Napi::CallbackInfo& info) {
  return from_info(info.Env(), plan_model(to_engine_options(options_argument(info)).load), 0);
}

Napi::Value synth_model(const Napi::CallbackInfo& info) {
  const Napi::Object options = options_argument(info);
  auto written = std::make_shared<uint64_t>(0);
  const auto write = [written, config = get_string(options, "config"), out = get_string(options, "out"),
                      seed = get_size(options, "seed")](const Job::Report& report) {
    *written = synth(config, out, seed, report);
  };
  return run(new Job(function_argument(info, 1, "onProgress"), "weights", write, number_of(written)));
}

Napi::Value convert_model(const Napi::CallbackInfo& info) {
  const Napi::Object options = options_argument(info);
  const Napi::Value fields = options.Get("fields");
  if (!fields.IsTypedArray()) throw Napi::TypeError::New(info.Env(), "fields must be a Uint8Array");
  const Napi::Uint8Array bytes = fields.As<Napi::Uint8Array>();
  GgufConversion conversion;
  conversion.folder = get_string(options, "folder");
  conversion.out = get_string(options, "out");
  conversion.fields.assign(reinterpret_cast<const char*>(bytes.Data()), bytes.ByteLength());
  conversion.n_fields = get_size(options, "numFields");
  const std::string type = get_string(options, "type");
  conversion.type = written_type(type);
  if (!conversion.type && type != "auto")
    throw Napi::TypeError::New(info.Env(), "type must be auto, or one that is written");
  auto written = std::make_shared<uint64_t>(0);
  const auto write = [written, conversion](const Job::Report& report) {
    *written = convert_to_gguf(conversion, report);
  };
  return run(new Job(function_argument(info, 1, "onProgress"), "weights", write, number_of(written)));
}

Napi::Value quantize_model(const Napi::CallbackInfo& info) {
  const Napi::Object options = options_argument(info);
  const FolderQuantization wanted{get_string(options, "folder"), get_string(options, "out"),
                                  get_quantization(options, "quantization")};
  auto written = std::make_shared<QuantizedFolder>();
  const auto write = [written, wanted](const Job::Report& report) { *written = quantize_folder(wanted, report); };
  const auto finish = [written](Napi::Env env) -> Napi::Value {
    Napi::Object out = Napi::Object::New(env);
    out["bytes"] = static_cast<double>(written->bytes);
    out["numKept"] = written->n_kept;
    const Napi::Array tensors = Napi::Array::New(env, written->tensors.size());
    for (uint32_t i = 0; i < written->tensors.size(); ++i) {
      Napi::Object tensor = Napi::Object::New(env);
      tensor["name"] = written->tensors[i].name;
      tensor["error"] = written->tensors[i].error;
      tensors.Set(i, tensor);
    }
    out["tensors"] = tensors;
    return out;
  };
  return run(new Job(function_argument(info, 1, "onProgress"), "weights", write, finish));
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new Napi::FunctionReference(Napi::Persistent(EngineObject::define(env))));
  exports["convert"] = Napi::Function::New<convert_model>(env, "convert");
  exports["createEngine"] = Napi::Function::New<create_engine>(env, "createEngine");
  exports["planModel"] = Napi::Function::New<plan_engine>(env, "planModel");
  exports["quantize"] = Napi::Function::New<quantize_model>(env, "quantize");
  exports["readGguf"] = Napi::Function::New<read_gguf>(env, "readGguf");
  exports["synth"] = Napi::Function::New<synth_model>(env, "synth");
  return exports;
}

}  // namespace

NODE_API_MODULE(gattling, init)

}  // namespace gattling::addon
