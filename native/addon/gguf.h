// readGguf of src/native/addon.ts.
#pragma once

#include <napi.h>

namespace gattling::addon {

Napi::Value read_gguf(const Napi::CallbackInfo& info);

}  // namespace gattling::addon
