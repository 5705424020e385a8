// What this machine has: instruction sets, cores, memory.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cpu/kernels.h"

namespace gattling::cpu {

// The kernels that run here, best first, and last twins that are only there to be compared with.
std::vector<const Kernels*> available_kernels();

// The names of all that this build has, whether they run here or not; without twins.
std::vector<std::string> compiled_units();

// Those of the unit `asked` for, "" for what the environment's GATTLING_CPU names, or the best. Throws Error.
const Kernels& find_kernels(const std::string& asked);

// Distinct cores among the logical processors that this process may run on, within its control group's quota.
int physical_cores();

// Bytes that may still be allocated without swapping, within the control group's limit.
size_t available_memory();

}  // namespace gattling::cpu
