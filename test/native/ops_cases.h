// The backends of this machine, and what their tests share: random numbers, stored tensors, comparison.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "ops_reference.h"

namespace ops {

struct BackendCase {
  std::string name;
  std::function<std::unique_ptr<gattling::Backend>(gattling::DType compute, int threads)> make;
  // Between host and activations.
  std::function<void(const gattling::Tensor&, const std::vector<float>&)> write;  // from the first row on
  std::function<std::vector<float>(const gattling::Tensor&, int64_t rows)> read;
  double tolerance;                      // of a result, relative to the largest
  std::vector<int> threads = {1, 2, 3};  // counts to try
  int head_multiple = 2;                 // head sizes are multiples of it
  int draws = 4000;                      // that statistics of the sampler take; an emulated one is slow
  bool half_activations = false;         // of 16 bits, fp16 here

  bool takes(int n_threads) const { return std::ranges::find(threads, n_threads) != threads.end(); }
  // Rounded to what activations hold exactly.
  std::vector<float> exact(std::vector<float> values) const;
};

// Units that the machine lacks are named on stdout and left out.
const std::vector<BackendCase>& backend_cases();

// Uniform in [-1, 1), the same on every run.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next();
  float uniform();
  int below(int n) { return static_cast<int>(next() % static_cast<uint64_t>(n)); }
  std::vector<float> floats(size_t n);

 private:
  uint64_t state_;
};

// A checkpoint's tensor with random values that its type holds exactly; its bytes are not aligned.
struct Stored {
  gattling::HostTensor tensor;
  reference::Matrix values;
  std::vector<std::byte> bytes;

  Stored(Random& random, gattling::DType dtype, std::vector<int64_t> shape, double scale = 1);
  Stored(Stored&&) = default;
};

reference::Matrix doubles(const std::vector<float>& values);

// The largest difference, relative to the largest expected magnitude; NaNs count as 1e30.
double error(const std::vector<float>& have, const reference::Matrix& want);

bool same_bits(const std::vector<float>& a, const std::vector<float>& b);

// Fails the test with where and how much.
void expect_near(const BackendCase& backend, const std::string& where, const std::vector<float>& have,
                 const reference::Matrix& want);
void expect_same_bits(const BackendCase& backend, const std::string& where, const std::vector<float>& have,
                      const std::vector<float>& want);

}  // namespace ops
