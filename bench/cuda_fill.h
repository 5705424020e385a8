// Random values made on the device, and the plainest copy there is.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/kernels/common.h"

namespace bench {

// `n` elements of type `half`, a multiple of 8, uniform in [-scale, scale), by a hash of seed and index.
void fill_half(void* to, size_t n, gattling::cuda::Half half, float scale, uint32_t seed,
               gattling::cuda::Stream& stream);
// The same in fp32; n is a multiple of 4.
void fill_float(float* to, size_t n, float scale, uint32_t seed, gattling::cuda::Stream& stream);

// 16 bytes a thread at a time, past the first-level cache; `bytes` is a multiple of 16.
void copy(void* to, const void* from, size_t bytes, int n_processors, gattling::cuda::Stream& stream);

}  // namespace bench
