// The hidden rows that a step's slices want (Slice::hidden), summed on the device and brought to the host.
#pragma once

#include <vector>

#include "backend/step.h"
#include "backend/tensor.h"
#include "cuda/kernels/elementwise.h"
#include "cuda/step_inputs.h"

namespace gattling::cuda {

class HiddenRows {
 public:
  // Where a step's rows arrive, and stay until its next use.
  struct Answer {
    HostBuffer rows;
    size_t n = 0;  // floats
  };

  // Before read(): which rows of the step.
  void want(const Step& step);
  // Enqueues; x is [rows, cols] of `half`.
  void read(const Tensor& x, Half half, Answer& answer, Stream& stream);

 private:
  std::vector<RowSum> wanted_;
  Upload sums_{4096};
  Buffer hidden_;
};

}  // namespace gattling::cuda
