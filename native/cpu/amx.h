// Whether this machine's AMX may be used.
#pragma once

#include "cpu/kernels.h"

namespace gattling::cpu {

// The processor has tiles of bf16, the system grants them to this process, and they give the bits that the plain twin
// gives: what has not run on a processor before is not trusted to it.
bool has_amx();

// Whether both kernels give the same bits for random x [rows, k] and weights [n, k]. Some rows and tiles are so small
// that their sums come to about 2^-126, where it shows how subnormal numbers are taken.
bool same_products(const Kernels& a, const Kernels& b, int rows, int64_t n, int64_t k);

}  // namespace gattling::cpu
