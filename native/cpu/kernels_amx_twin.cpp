// The kernels for amx-twin: those of plain, but for weights in bf16, which are multiplied as AMX does it, bit for bit.
#include "backend/half.h"
#include "cpu/kernels.h"

namespace gattling::cpu {
namespace amx_twin {
#include "cpu/blocks.inl"
#include "cpu/matmul_tiles.inl"
}  // namespace amx_twin

const Kernels& kernels_amx_twin() {
  static const Kernels kernels = [] {
    Kernels all = kernels_plain();
    all.unit = "amx-twin";
    all.halve = amx_twin::halve;
    all.linear_halves = amx_twin::linear_halves;
    return all;
  }();
  return kernels;
}

}  // namespace gattling::cpu
