// The only place that names a concrete backend.
#pragma once

#include <memory>
#include <string>

#include "backend/backend.h"

namespace gattling {

// device: auto, cpu or cuda. Throws Error with what is missing.
std::unique_ptr<Backend> make_backend(const std::string& device, const BackendOptions& options);

}  // namespace gattling
