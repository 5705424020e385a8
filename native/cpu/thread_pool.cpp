#include "cpu/thread_pool.h"

#include <system_error>
#include <utility>

#include "backend/error.h"

namespace gattling::cpu {
namespace {

// The ops of a step follow each other within microseconds, so a waiter spins that long; longer would take the core from
// whoever shares it.
constexpr int kSpins = 400;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Returns once `value` is not `old`.
uint32_t wait_for_change(const std::atomic<uint32_t>& value, uint32_t old) {
  for (int i = 0; i < kSpins; ++i) {
    const uint32_t now = value.load(std::memory_order_acquire);
    if (now != old) return now;
    pause();
  }
  value.wait(old, std::memory_order_acquire);
  return value.load(std::memory_order_acquire);
}

}  // namespace

ThreadPool::ThreadPool(int n_threads) : n_threads_(n_threads < 1 ? 1 : n_threads) {
  threads_.reserve(static_cast<size_t>(n_threads_ - 1));
  try {
    for (int worker = 1; worker < n_threads_; ++worker) threads_.emplace_back([this, worker] { work(worker); });
  } catch (const std::system_error& error) {
    stop();
    fail("only ", threads_.size() + 1, " of ", n_threads_, " threads could be started (", error.what(),
         "); --threads takes fewer");
  }
}

ThreadPool::~ThreadPool() {
  stop();
}

void ThreadPool::stop() {
  stop_.store(true, std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::run(const Job& job) {
  job_ = job;
  running_.store(static_cast<uint32_t>(n_threads_ - 1), std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  run_part(0);
  for (uint32_t left = running_.load(std::memory_order_acquire); left != 0;) left = wait_for_change(running_, left);
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void ThreadPool::work(int worker) {
  for (uint32_t seen = 0;;) {
    seen = wait_for_change(epoch_, seen);
    if (stop_.load(std::memory_order_relaxed)) return;
    run_part(worker);
    if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) running_.notify_one();
  }
}

void ThreadPool::run_part(int worker) {
  const int64_t begin = job_.n * worker / n_threads_;
  const int64_t end = job_.n * (worker + 1) / n_threads_;
  if (begin == end) return;
  try {
    job_.call(job_.context, begin, end, worker);
  } catch (...) {
    const std::lock_guard lock(error_mutex_);
    if (!error_) error_ = std::current_exception();
  }
}

}  // namespace gattling::cpu
