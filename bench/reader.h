// What the machine can do, measured beside what a bench measures: medians of alternating runs, because machines are
// shared.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

// Compiled for several instruction sets, one of which is chosen at run time.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define EVERY_SET __attribute__((target_clones("avx512f", "avx2,fma", "default")))
#else
#define EVERY_SET
#endif

namespace bench {

constexpr int kPairs = 7;

inline double seconds(const std::function<void()>& run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

inline double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

inline void on_threads(int n, const std::function<void(int)>& run) {
  std::vector<std::thread> threads;
  for (int i = 1; i < n; ++i) threads.emplace_back(run, i);
  run(0);
  for (std::thread& thread : threads) thread.join();
}

// Loads 1 GiB with two threads, whatever the engine uses: the bandwidth that a decode step is held against.
class Reader {
 public:
  Reader();
  double gbps();

 private:
  typedef uint64_t Words __attribute__((vector_size(64)));
  std::vector<Words> data_;
  volatile uint64_t sink_[2]{};
};

}  // namespace bench
