// The kernels for avx512.
#define GATTLING_AVX512
#define GATTLING_UNIT_NAME "avx512"

#include <immintrin.h>

#include "backend/half.h"
#include "cpu/kernels.h"

namespace gattling::cpu {
namespace avx512 {
#include "cpu/kernels.inl"
}

const Kernels& kernels_avx512() {
  return avx512::kKernels;
}

}  // namespace gattling::cpu
