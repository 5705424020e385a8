// Linear layers of GPTQ and AWQ checkpoints: for each of them, instead of NAME.weight [n, k], integers of 4 or 8 bits
// in 32-bit words. With p = 32 / bits, g groups of inputs and w = scale * (q - zero):
//
//   GPTQ (AutoGPTQ, QuantLinear.pack)        AWQ (AutoAWQ, WQLinear_GEMM.from_linear)
//   qweight I32 [k / p, n]: input i in       qweight I32 [k, n / 8]: of each 8 outputs, bits 4 b ..
//     bits (i mod p) * bits of word i / p      hold output 0, 2, 4, 6, 1, 3, 5, 7 [b]
//   qzeros I32 [g, n / p], outputs likewise; qzeros I32 [g, n / 8] likewise
//     less one but in "gptq_v2"
//   scales [g, n]                            scales [g, n]
//   g_idx I32 [k]: each input's group, which act-order permutes; without it input i is in group i / size
#pragma once

#include <memory>
#include <string>

#include "backend/quantised.h"
#include "backend/tensor.h"
#include "model/packed_format.h"

namespace gattling {

struct PackedParts {
  const HostTensor* qweight = nullptr;
  const HostTensor* qzeros = nullptr;
  const HostTensor* scales = nullptr;
  const HostTensor* g_idx = nullptr;  // may be null
};

// NAME.weight as the rest of the loader takes it; `quantised` is what its tensor points to.
struct PackedLinear {
  HostTensor tensor;
  std::unique_ptr<const Quantised> quantised;
};

// Throws Error on types and shapes that do not belong together, and on groups of other sizes than the format's.
// `where` names the file in errors.
PackedLinear packed_linear(const PackedFormat& format, const std::string& name, const PackedParts& parts,
                           const std::string& where);

}  // namespace gattling
