// The kernels for neon.
#define GATTLING_NEON
#define GATTLING_UNIT_NAME "neon"

#include <arm_neon.h>

#include "backend/half.h"
#include "cpu/kernels.h"

namespace gattling::cpu {
namespace neon {
#include "cpu/kernels.inl"
}

const Kernels& kernels_neon() {
  return neon::kKernels;
}

}  // namespace gattling::cpu
