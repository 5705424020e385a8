// The kernels for avx2.
#define GATTLING_AVX2
#define GATTLING_UNIT_NAME "avx2"

#include <immintrin.h>

#include "backend/half.h"
#include "cpu/kernels.h"

namespace gattling::cpu {
namespace avx2 {
#include "cpu/kernels.inl"
}

const Kernels& kernels_avx2() {
  return avx2::kKernels;
}

}  // namespace gattling::cpu
