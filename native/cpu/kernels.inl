// The kernels of one instruction set: kernels_<unit>.cpp includes this inside its namespace. Nothing of the standard
// library's inline code is used here, for it would be compiled for this set and might be linked into code for others.

#include "cpu/blocks.inl"

#include "cpu/attention.inl"
#include "cpu/elementwise.inl"
#include "cpu/matmul.inl"
#include "cpu/matmul_ints.inl"
#include "cpu/vocabulary.inl"

static constexpr Kernels kKernels = {
    GATTLING_UNIT_NAME, linear, linear_ints, nullptr, nullptr, quantise, sizeof(Int), attend, rmsnorm, swiglu, peak, sum_exp, temper,
    block_max,          select, random,
};
