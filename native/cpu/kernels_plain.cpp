// The kernels for plain.
#define GATTLING_UNIT_NAME "plain"

#include "backend/half.h"
#include "cpu/kernels.h"

namespace gattling::cpu {
namespace plain {
#include "cpu/kernels.inl"
}

const Kernels& kernels_plain() {
  return plain::kKernels;
}

}  // namespace gattling::cpu
