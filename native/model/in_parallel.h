// A loop over pieces of work that are all the same to whoever does them.
#pragma once

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace gattling {

// Runs work(0 .. n - 1) on all threads, this one among them, which calls `pause` between two pieces of its own. The
// first exception ends the work and is thrown here.
template <typename Work, typename Pause>
void in_parallel(size_t n, const Work& work, const Pause& pause) {
  std::atomic<size_t> next{0};
  std::mutex mutex;
  std::exception_ptr error;
  const auto run = [&](bool here) {
    try {
      for (size_t i; (i = next++) < n;) {
        work(i);
        if (here) pause();
      }
    } catch (...) {
      next = n;
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> threads;
    const unsigned n_threads = std::clamp(std::thread::hardware_concurrency(), 1u, 8u);
    for (unsigned i = 1; i < n_threads; ++i) threads.emplace_back(run, false);
    run(true);
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace gattling
