#include "cpu/input_rows.h"

namespace gattling::cpu {

std::byte* InputRows::reserve(int64_t bytes) {
  if (data_.size() < static_cast<size_t>(bytes)) data_.resize(static_cast<size_t>(bytes));
  return data_.data();
}

void InputRows::fill_ints(const Kernels& kernels, ThreadPool& pool, const float* x, int64_t rows,
                          const Section& section) {
  const IntForm& form = section.ints;
  const int64_t depth = section.depth(), n_blocks = depth / form.step();
  const int64_t row_bytes = depth * static_cast<int64_t>(kernels.int_size);
  std::byte* q = reserve(rows * row_bytes);
  if (blocks_.size() < static_cast<size_t>(rows * n_blocks)) blocks_.resize(static_cast<size_t>(rows * n_blocks));
  const int32_t* order = form.order.empty() ? nullptr : form.order.data();
  pool.parallel(rows, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row)
      kernels.quantise({x + row * section.k, order, section.k, depth, form.step(), form.zero(), q + row * row_bytes,
                        blocks_.data() + row * n_blocks});
  });
}

void InputRows::fill_halves(const Kernels& kernels, ThreadPool& pool, const float* x, int64_t rows,
                            const Section& section) {
  const int64_t depth = section.depth();
  bf16* halves = reinterpret_cast<bf16*>(reserve(rows * depth * int64_t{sizeof(bf16)}));
  pool.parallel(rows, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row)
      kernels.halve(x + row * section.k, section.k, depth, halves + row * depth);
  });
}

}  // namespace gattling::cpu
