// Whether this machine's AMX may be used.
#pragma once

#include "cpu/kernels.h"

namespace gattling::cpu {

// The processor has tiles of bf16, the system grants them to this process, and they give the bits that the plain twin
// gives: what has not run on a processor before is not trusted to it.
bool has_amx();

// Products of random numbers, subnormal ones among them, by both kernels, at sizes that leave tiles part empty.
bool same_products(const Kernels& a, const Kernels& b, int rows);

}  // namespace gattling::cpu
