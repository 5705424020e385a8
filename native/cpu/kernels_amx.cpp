// The kernels for amx: those of avx512vnni, but for weights in bf16.
#define GATTLING_AVX512
#define GATTLING_AMX

#include <immintrin.h>

#include "backend/half.h"
#include "cpu/kernels.h"

namespace gattling::cpu {
namespace amx {
#include "cpu/blocks.inl"
#include "cpu/matmul_tiles.inl"
}  // namespace amx

const Kernels& kernels_amx() {
  static const Kernels kernels = [] {
    Kernels all = kernels_avx512vnni();
    all.unit = "amx";
    all.halve = amx::halve;
    all.linear_halves = amx::linear_halves;
    return all;
  }();
  return kernels;
}

}  // namespace gattling::cpu
