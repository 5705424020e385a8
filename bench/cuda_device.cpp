#include "cuda_device.h"

#include <cuda_runtime.h>

namespace bench {

using gattling::cuda::check_call;

DeviceFacts device_facts() {
  int driver = 0, runtime = 0, l2_bytes = 0;
  check_call(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
  check_call(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
  check_call(cudaDeviceGetAttribute(&l2_bytes, cudaDevAttrL2CacheSize, 0), "cudaDeviceGetAttribute");
  const auto version = [](int number) {
    return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
  };
  return {version(driver), version(runtime), static_cast<size_t>(l2_bytes), false};
}

void copy_by_driver(void* to, const void* from, size_t bytes, gattling::cuda::Stream& stream) {
  check_call(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, static_cast<cudaStream_t>(stream.handle())),
             "a copy within the GPU");
}

}  // namespace bench
