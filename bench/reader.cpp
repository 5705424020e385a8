#include "reader.h"

namespace bench {

namespace {

constexpr size_t kBytes = size_t{1} << 30;
typedef uint64_t Words __attribute__((vector_size(64)));

EVERY_SET uint64_t read_all(const Words* data, size_t n) {
  Words a{}, b{}, c{}, d{};
  for (size_t i = 0; i + 4 <= n; i += 4) {
    a |= data[i];
    b |= data[i + 1];
    c |= data[i + 2];
    d |= data[i + 3];
  }
  a |= b | c | d;
  return a[0] | a[1] | a[2] | a[3] | a[4] | a[5] | a[6] | a[7];
}

}  // namespace

Reader::Reader() : data_(kBytes / sizeof(Words)) {}

double Reader::gbps() {
  const size_t half = data_.size() / 2;
  const double time = seconds([&] { on_threads(2, [&](int i) { sink_[i] = read_all(&data_[half * i], half); }); });
  return static_cast<double>(kBytes) / time / 1e9;
}

}  // namespace bench
