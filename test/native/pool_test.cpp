#include <algorithm>
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include "cpu/thread_pool.h"
#include "test.h"

using gattling::cpu::ThreadPool;

TEST(parallel_covers_each_index_once) {
  for (int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    CHECK(pool.size() == threads);
    for (int64_t n : {0, 1, 2, 3, 7, 8, 9, 1000}) {
      std::vector<int> hits(static_cast<size_t>(n));  // each written by one worker: a race would show
      std::vector<int> calls(static_cast<size_t>(threads));
      pool.parallel(n, [&](int64_t begin, int64_t end, int worker) {
        ++calls[static_cast<size_t>(worker)];
        for (int64_t i = begin; i < end; ++i) ++hits[static_cast<size_t>(i)];
      });
      CHECK(std::all_of(hits.begin(), hits.end(), [](int count) { return count == 1; }));
      CHECK(std::all_of(calls.begin(), calls.end(), [](int count) { return count <= 1; }));
    }
  }
}

TEST(each_hands_out_every_item_once) {
  ThreadPool pool(4);
  for (int64_t n : {0, 1, 3, 4, 500}) {
    std::vector<int> hits(static_cast<size_t>(n));
    pool.each(n, [&](int64_t i, int worker) {
      CHECK(worker >= 0 && worker < 4);
      ++hits[static_cast<size_t>(i)];
    });
    CHECK(std::all_of(hits.begin(), hits.end(), [](int count) { return count == 1; }));
  }
}

TEST(what_a_job_wrote_is_seen_after_it) {
  ThreadPool pool(3);
  // Each job reads what another worker wrote in the job before.
  std::vector<int64_t> from(300, 0), to(300, 0);
  for (int64_t round = 1; round <= 3000; ++round) {
    pool.parallel(300, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) to[static_cast<size_t>(i)] = from[static_cast<size_t>(299 - i)] + 1;
    });
    std::swap(from, to);
    CHECK(std::all_of(from.begin(), from.end(), [&](int64_t value) { return value == round; }));
  }
}

TEST(workers_sleep_and_wake) {
  ThreadPool pool(3);
  std::atomic<int> sum{0};
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // past the spin, into the wait
    pool.parallel(3, [&](int64_t begin, int64_t end, int) { sum += static_cast<int>(end - begin); });
  }
  CHECK(sum == 60);
}

TEST(an_exception_of_a_part_reaches_the_caller) {
  ThreadPool pool(3);
  for (int64_t bad : {0, 5, 8}) {
    THROWS("part", pool.parallel(9, [&](int64_t begin, int64_t end, int) {
      if (begin <= bad && bad < end) throw std::runtime_error("part");
    }));
    int64_t n = 0;
    pool.parallel(1, [&](int64_t, int64_t end, int) { n = end; });
    CHECK(n == 1);
  }
}

TEST(pools_are_independent_and_end_cleanly) {
  std::vector<std::thread> callers;
  std::atomic<int64_t> total{0};
  for (int caller = 0; caller < 3; ++caller)
    callers.emplace_back([&] {
      for (int round = 0; round < 20; ++round) {
        ThreadPool pool(2);
        for (int job = 0; job < 10; ++job)
          pool.parallel(10, [&](int64_t begin, int64_t end, int) { total += end - begin; });
      }
    });
  for (std::thread& caller : callers) caller.join();
  CHECK(total == 3 * 20 * 10 * 10);
  ThreadPool unused(4);
}
