// The backend for NVIDIA GPUs of compute capability 8.0 and later.
//
// Weights, activations and the KV cache are bf16 or fp16 (fp32 is taken as fp16); accumulation, the residual stream,
// norms and logits are fp32. Steps run asynchronously and are planned one ahead; those that only decode replay a graph.
#pragma once

#include <memory>

#include "backend/backend.h"

namespace gattling {

// Throws Error with what is missing: the driver, a device, its compute capability.
std::unique_ptr<Backend> make_cuda_backend(const BackendOptions& options);

// Whether make_cuda_backend would find a device.
bool has_cuda_device();

}  // namespace gattling
