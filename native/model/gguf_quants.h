// ggml's quantised types as integers in groups.
#pragma once

#include <memory>

#include "backend/quantised.h"
#include "model/gguf_types.h"

namespace gattling {

// A view of rows of k columns at `data`; null when the type is one of plain numbers. k is a multiple of the type's
// block, and the bytes stay where they are while the view lives.
//
// scale * q + offset is the format's own value. Of a type without minimum, and of Q5_1, Q2_K and Q5_K, it has the very
// bits that ggml's expression has in fp32. Of Q4_1 and Q4_K q is moved by 8 into [-8, 7] and 8 * scale goes into the
// offset, which may round: one rounding more than in ggml's expression, of half a unit of the offset's last place.
std::unique_ptr<const Quantised> quantised_view(GgmlType type, const std::byte* data, int64_t k);

}  // namespace gattling
