// Sections of integers (pack.h).
#pragma once

#include "backend/parts.h"
#include "cpu/pack.h"

namespace gattling::cpu {

// Rows of `source`, which are quantised alike, into section.data; n, k and first are set.
void pack_ints(const Source& source, Section& section, ThreadPool& pool);

// Row `row` of the section, dequantised, in the order of the inputs.
void read_int_row(const Section& section, int64_t row, float* out);

}  // namespace gattling::cpu
