#include <cstring>

#include "cuda_device.h"

namespace bench {

DeviceFacts device_facts() {
  return {"none", "none", 4 << 10, true};
}

void copy_by_driver(void* to, const void* from, size_t bytes, gattling::cuda::Stream& stream) {
  stream.enqueue([=] { std::memcpy(to, from, bytes); });
}

}  // namespace bench
