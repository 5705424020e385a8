// Calls into JavaScript from an event of our own.
#pragma once

#include <napi.h>

namespace gattling::addon {

// Nobody is on the stack to catch what the function throws: it is an uncaught exception, as it would be in a timer.
// While the environment is being torn down nothing is called.
inline void call_back(const Napi::Function& function, const Napi::Value& argument) {
  try {
    function.Call({argument});
  } catch (const Napi::Error& error) {
    if (!error.IsEmpty()) napi_fatal_exception(error.Env(), error.Value());
  }
}

}  // namespace gattling::addon
