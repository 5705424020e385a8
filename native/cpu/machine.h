// What this machine has: instruction sets, cores, memory.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cpu/kernels.h"

namespace gattling::cpu {

// The kernels that run here, best first.
std::vector<const Kernels*> available_kernels();

// Those named `unit`, or the best for "". Throws Error.
const Kernels& find_kernels(const std::string& unit);

// Distinct cores among the logical processors that this process may run on.
int physical_cores();

// Bytes that may still be allocated without swapping, within the control group's limit.
size_t available_memory();

}  // namespace gattling::cpu
