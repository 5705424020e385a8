// Times kernels on the device and writes them down as fractions of what it can do.
//
// How it counts: launches are captured into a graph and replayed, medians of replays; every launch of a graph works on
// other buffers than the launches before it, at least 4 sets and enough that none is used again within 4 times the
// second-level cache; values are random. Bytes of linear layers are the weights', of attention the keys' and values'.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cuda/kernels/common.h"
#include "cuda_device.h"

namespace bench {

using gattling::cuda::Buffer;
using gattling::cuda::Half;
using gattling::cuda::Stream;

enum class Bound : uint8_t { Copy, Matmul };

struct Entry {
  std::string name;
  std::string shape;
  double seconds;  // of a launch
  double work;     // bytes or operations of a launch
  Bound bound;     // which of the two
  double target;   // fraction, 0: none
};

class Bench {
 public:
  // Tiny: sizes for the emulation, one replay each.
  explicit Bench(bool tiny);

  const bool tiny;
  const gattling::cuda::DeviceInfo device;
  const DeviceFacts facts;
  Stream stream;

  // How many sets of `bytes` bytes launches have to take turns with.
  int n_sets(size_t bytes) const;
  // Seconds of one of fn's launches: fn(set) enqueues it.
  double time(int n_sets, const std::function<void(int set)>& fn);
  Buffer random_halves(size_t n, float scale);
  Buffer random_floats(size_t n, float scale);
  Buffer zeros(size_t bytes);
  // Fails unless `n` values at the beginning are finite and not all zeros: that the kernel ran at all.
  void require_finite(const Buffer& halves, size_t n, const std::string& what);

  void add(const Entry& entry);
  bool has_room(size_t bytes, const std::string& what);
  double limit(Bound bound) const { return bound == Bound::Copy ? copy_rate : matmul_rate; }
  std::string json(const std::string& commit) const;

  double copy_rate = 0;    // bytes a second, read and written
  double matmul_rate = 0;  // operations a second
  size_t copy_bytes = 0;
  std::string copied_by, multiplied_by, matmul_shape;
  std::vector<std::string> notes;  // sentences
  // Of the sweep over KV heads; all 0 until it ran.
  struct {
    double slope_rate = 0;    // bytes a second between 8 and 64 KV heads
    double one_to_floor = 0;  // time at 1 KV head, relative to its bytes at the copy's rate
  } gqa;

 private:
  double replay(int n_sets, int rounds, int replays, const std::function<void(int set)>& fn);

  std::vector<Entry> entries_;
  uint32_t seed_ = 1;
};

void measure_limits(Bench& bench);
void bench_rmsnorm(Bench& bench);
void bench_linear(Bench& bench);
void bench_linear_ints(Bench& bench);
void bench_prefill_linear(Bench& bench);
void bench_decode_attention(Bench& bench);
void bench_prefill_attention(Bench& bench);
void bench_kv_heads(Bench& bench);

}  // namespace bench
