// A fixed set of threads that split loops. Not shared: a pool belongs to one caller at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace gattling::cpu {

class ThreadPool {
 public:
  // The caller of parallel() is one of the threads.
  explicit ThreadPool(int n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return n_threads_; }

  // fn(begin, end, worker) once on each worker whose part of [0, n) is not empty: equal parts, in order. Rethrows what
  // a part threw.
  template <typename Fn>
  void parallel(int64_t n, Fn&& fn) {
    if (n <= 0) return;
    if (n_threads_ == 1 || n == 1) {
      fn(int64_t{0}, n, 0);
      return;
    }
    using Plain = std::remove_reference_t<Fn>;
    run({[](void* context, int64_t begin, int64_t end, int worker) {
           (*static_cast<Plain*>(context))(begin, end, worker);
         },
         const_cast<void*>(static_cast<const void*>(&fn)), n});
  }

  // fn(i, worker) for each i of [0, n), handed out one by one: for items of unequal cost.
  template <typename Fn>
  void each(int64_t n, Fn&& fn) {
    std::atomic<int64_t> next{0};
    parallel(n < n_threads_ ? n : n_threads_, [&](int64_t, int64_t, int worker) {
      for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < n;) fn(i, worker);
    });
  }

 private:
  struct Job {
    void (*call)(void* context, int64_t begin, int64_t end, int worker) = nullptr;
    void* context = nullptr;
    int64_t n = 0;
  };

  void stop();
  void run(const Job& job);
  void work(int worker);
  void run_part(int worker);

  int n_threads_;
  // Each on a line of its own: workers read one in a loop while others write the next.
  alignas(64) Job job_;
  std::atomic<bool> stop_{false};
  alignas(64) std::atomic<uint32_t> epoch_{0};    // counts jobs; a change wakes the workers
  alignas(64) std::atomic<uint32_t> running_{0};  // workers not done with the job
  alignas(64) std::mutex error_mutex_;
  std::exception_ptr error_;
  std::vector<std::thread> threads_;
};

}  // namespace gattling::cpu
