// The backend that runs on any processor: fp32 activations, weights as stored or as `compute` asks, ops done at once.
#pragma once

#include <memory>

#include "backend/backend.h"

namespace gattling {

// Throws Error on a unit that this machine lacks.
std::unique_ptr<Backend> make_cpu_backend(const BackendOptions& options);

}  // namespace gattling
