#include "cpu/int_rows.h"

namespace gattling::cpu {

void IntRows::fill(const Kernels& kernels, ThreadPool& pool, const float* x, int64_t rows, const Section& section) {
  const IntForm& form = section.ints;
  const int64_t depth = section.depth(), n_blocks = depth / form.step();
  const int64_t row_bytes = depth * static_cast<int64_t>(kernels.int_size);
  if (q_.size() < static_cast<size_t>(rows * row_bytes)) q_.resize(static_cast<size_t>(rows * row_bytes));
  if (blocks_.size() < static_cast<size_t>(rows * n_blocks)) blocks_.resize(static_cast<size_t>(rows * n_blocks));
  const int32_t* order = form.order.empty() ? nullptr : form.order.data();
  pool.parallel(rows, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row)
      kernels.quantise({x + row * section.k, order, section.k, depth, form.step(), form.zero(),
                        q_.data() + row * row_bytes, blocks_.data() + row * n_blocks});
  });
}

}  // namespace gattling::cpu
