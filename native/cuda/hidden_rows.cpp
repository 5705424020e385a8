#include "cuda/hidden_rows.h"

#include <algorithm>

#include "cuda/pack.h"

namespace gattling::cuda {

void HiddenRows::want(const Step& step) {
  wanted_.clear();
  int first = 0;
  for (const Slice& slice : step.slices) {
    const int last = first + slice.count - 1;
    if (slice.hidden == Rows::Last) wanted_.push_back({last, 1});
    if (slice.hidden == Rows::Sum) wanted_.push_back({first, slice.count});
    if (slice.hidden == Rows::All)
      for (int row = first; row <= last; ++row) wanted_.push_back({row, 1});
    first = last + 1;
  }
}

void HiddenRows::read(const Tensor& x, Half half, Answer& answer, Stream& stream) {
  answer.n = wanted_.size() * static_cast<size_t>(x.cols);
  const size_t bytes = answer.n * sizeof(float), list = wanted_.size() * sizeof(RowSum);
  if (bytes == 0) return;
  if (hidden_.bytes() < bytes) {
    stream.synchronize();
    hidden_ = Buffer(bytes);
  }
  if (answer.rows.bytes() < bytes) answer.rows = HostBuffer(bytes);
  std::copy(wanted_.begin(), wanted_.end(), reinterpret_cast<RowSum*>(sums_.next(list, stream)));
  sums_.send(list, stream);
  sum_rows({x.data, stride_of(x.cols), half, reinterpret_cast<const RowSum*>(sums_.device()),
            static_cast<int>(wanted_.size()), hidden_.as<float>(), static_cast<int>(x.cols)},
           stream);
  stream.copy_to_host(answer.rows.as<void>(), hidden_.as<void>(), bytes);
}

}  // namespace gattling::cuda
