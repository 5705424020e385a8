// Whether a step stays within the state that a backend has allocated: the last look before memory is touched.
#pragma once

#include <span>

#include "backend/backend.h"

namespace gattling {

// Throws Error on a slot, block, position, token or count that is outside.
void check_step(const Step& step, const StateShape& shape);

// And on a mask of the wrong size.
void check_mask(int slot, std::span<const uint32_t> bits, const StateShape& shape);

// Throws Error on a shape that no backend takes.
void check_state(const StateShape& shape);

}  // namespace gattling
