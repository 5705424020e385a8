// The kernels for avx512vnni: those of avx512, but for integers.
#define GATTLING_AVX512
#define GATTLING_VNNI

#include <immintrin.h>

#include "backend/half.h"
#include "cpu/kernels.h"

namespace gattling::cpu {
namespace avx512vnni {
#include "cpu/blocks.inl"
#include "cpu/matmul_ints.inl"
}  // namespace avx512vnni

const Kernels& kernels_avx512vnni() {
  static const Kernels kernels = [] {
    Kernels all = kernels_avx512();
    all.unit = "avx512vnni";
    all.linear_ints = avx512vnni::linear_ints;
    all.quantise = avx512vnni::quantise;
    all.int_size = sizeof(avx512vnni::Int);
    return all;
  }();
  return kernels;
}

}  // namespace gattling::cpu
