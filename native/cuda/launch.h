// Enqueues kernels. A stream is the runtime's; while it captures, launches become part of a graph.
#pragma once

#include <cstddef>
#include <utility>

#include "cuda/runtime.h"

#ifdef __CUDACC__
#include <cuda_runtime.h>
#else
#include "cuda/emulation/block.h"
#endif

namespace gattling::cuda {

struct Dim {
  unsigned x = 1, y = 1, z = 1;
  Dim(unsigned x, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

#ifdef __CUDACC__

template <typename... Params, typename... Args>
void launch(void (*kernel)(Params...), Dim grid, Dim block, size_t shared_bytes, Stream& stream, Args&&... args) {
  if (shared_bytes > (48 << 10))
    check_call(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes)),
        "cudaFuncSetAttribute");
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(grid.x, grid.y, grid.z);
  config.blockDim = dim3(block.x, block.y, block.z);
  config.dynamicSmemBytes = shared_bytes;
  config.stream = static_cast<cudaStream_t>(stream.handle());
  check_call(cudaLaunchKernelEx(&config, kernel, static_cast<Params>(args)...), "a kernel launch");
}

#else

template <typename... Params, typename... Args>
void launch(void (*kernel)(Params...), Dim grid, Dim block, size_t shared_bytes, Stream& stream, Args&&... args) {
  const auto run = [=] {
    emulation::run_grid({grid.x, grid.y, grid.z}, {block.x, block.y, block.z}, shared_bytes,
                        [=] { kernel(static_cast<Params>(args)...); });
  };
  stream.enqueue(run);
}

#endif

}  // namespace gattling::cuda
