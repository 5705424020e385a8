// What a bench asks of a device, and the engine does not: cuda_device.cpp of CUDA's runtime, cuda_device_emulated.cpp
// of the emulation.
#pragma once

#include <cstddef>
#include <string>

#include "cuda/runtime.h"

namespace bench {

struct DeviceFacts {
  std::string driver;   // the CUDA version of the driver, "13.0"
  std::string runtime;  // and of the runtime that is linked
  size_t l2_bytes;
  bool emulated;
};

DeviceFacts device_facts();

// Within the device, by the driver's own means.
void copy_by_driver(void* to, const void* from, size_t bytes, gattling::cuda::Stream& stream);

}  // namespace bench
