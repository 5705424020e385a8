// The emulation against itself: the order of its threads, and that what it promises to report is reported.
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <set>
#include <vector>

#include "cuda/device.h"
#include "test.h"

using namespace gattling;
using namespace gattling::cuda;

namespace {

using emulation::Index3;
using emulation::Options;
using emulation::run_grid;

// Sets the emulation's options for a case, and puts back those it found.
class With {
 public:
  explicit With(const Options& options) { emulation::options() = options; }
  ~With() { emulation::options() = before_; }

 private:
  Options before_ = emulation::options();
};

void one_block(unsigned n_threads, size_t shared_bytes, const std::function<void()>& body) {
  run_grid({1, 1, 1}, {n_threads, 1, 1}, shared_bytes, body);
}

int thread() {
  return static_cast<int>(threadIdx.x);
}

// The order in which the threads of a block of 64 run first.
std::vector<int> order_of(uint64_t seed) {
  const With with({seed, true, true});
  std::vector<int> order;
  one_block(64, 0, [&] { order.push_back(thread()); });
  return order;
}

}  // namespace

TEST(indices_of_one_to_three_dimensions) {
  for (const auto& [grid, block] : std::vector<std::pair<Index3, Index3>>{
           {{5, 1, 1}, {7, 1, 1}}, {{3, 4, 1}, {2, 33, 1}}, {{2, 3, 5}, {3, 2, 4}}, {{1, 1, 1}, {1, 1, 1}}}) {
    std::set<std::array<unsigned, 6>> seen;
    std::set<std::array<unsigned, 4>> linear;
    const unsigned n_threads = block.x * block.y * block.z, n_blocks = grid.x * grid.y * grid.z;
    run_grid(grid, block, 0, [&, grid = grid, block = block] {
      const Index3 at = threadIdx, of = blockIdx;
      CHECK(at.x < block.x && at.y < block.y && at.z < block.z && of.x < grid.x && of.y < grid.y && of.z < grid.z);
      CHECK(blockDim.x == block.x && blockDim.y == block.y && blockDim.z == block.z);
      CHECK(gridDim.x == grid.x && gridDim.y == grid.y && gridDim.z == grid.z);
      seen.insert({at.x, at.y, at.z, of.x, of.y, of.z});
      // x runs fastest: lanes are consecutive x.
      const unsigned expected = at.x + block.x * (at.y + block.y * at.z);
      CHECK(lane_id() == static_cast<int>(expected % 32) || block.y > 1);
      CHECK(emulation::place.linear == static_cast<int>(expected));
      linear.insert({expected, of.x, of.y, of.z});
    });
    CHECK(seen.size() == size_t{n_threads} * n_blocks);
    CHECK(linear.size() == seen.size());
  }
}

TEST(places_survive_a_switch) {
  run_grid({3, 2, 1}, {48, 2, 1}, 0, [] {
    const Index3 at = threadIdx, of = blockIdx;
    __syncthreads();
    CHECK(at.x == threadIdx.x && at.y == threadIdx.y && of.x == blockIdx.x && of.y == blockIdx.y);
  });
}

TEST(order_differs_by_seed) {
  std::vector<int> sorted(64);
  std::iota(sorted.begin(), sorted.end(), 0);
  const std::vector<int> one = order_of(1), two = order_of(2), three = order_of(3);
  CHECK(one != sorted && one != two && one != three && two != three);
  for (std::vector<int> order : {one, two, three}) {
    std::sort(order.begin(), order.end());
    CHECK(order == sorted);
  }
}

TEST(warps_may_run_far_ahead_of_each_other) {
  constexpr int kRounds = 40;
  std::set<int> firsts;
  int most = 0;
  for (int block = 0; block < 16; ++block) {
    int rounds[4] = {};
    one_block(128, 0, [&] {
      for (int i = 0; i < kRounds; ++i) {
        __syncwarp();
        if (lane_id() != 0) continue;
        const int warp = thread() / 32;
        ++rounds[warp];
        const int behind = *std::min_element(rounds, rounds + 4);
        most = std::max(most, rounds[warp] - behind);
        if (rounds[warp] == kRounds && *std::max_element(rounds, rounds + 4) == kRounds && behind < kRounds / 2)
          firsts.insert(warp);
      }
    });
  }
  CHECK(most > 3 * kRounds / 4);
  CHECK(firsts.size() > 2);
}

TEST(blocks_run_in_any_order) {
  std::set<std::vector<unsigned>> orders;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    const With with({seed, true, true});
    std::vector<unsigned> order;
    run_grid({3, 5, 2}, {1, 1, 1}, 0, [&] { order.push_back(blockIdx.x + 3 * (blockIdx.y + 5 * blockIdx.z)); });
    orders.insert(order);
    std::sort(order.begin(), order.end());
    for (unsigned i = 0; i < 30; ++i) CHECK(order.size() == 30 && order[i] == i);
  }
  CHECK(orders.size() > 1);
}

TEST(a_launch_stays_within_the_device) {
  const auto nothing = [] {};
  THROWS("of no blocks", run_grid({0, 1, 1}, {32, 1, 1}, 0, nothing));
  THROWS("of no threads", run_grid({1, 1, 1}, {0, 1, 1}, 0, nothing));
  THROWS("more than 1024 threads", run_grid({1, 1, 1}, {64, 32, 1}, 0, nothing));
  THROWS("more blocks", run_grid({1, 65536, 1}, {1, 1, 1}, 0, nothing));
  THROWS("163 KiB", run_grid({1, 1, 1}, {32, 1, 1}, (163 << 10) + 1, nothing));
  run_grid({1, 1, 1}, {1024, 1, 1}, 163 << 10, nothing);
}

TEST(shared_memory_begins_as_nan) {
  for (int round = 0; round < 2; ++round)  // of each block, whatever the one before left
    run_grid({2, 1, 1}, {32, 1, 1}, 256, [] {
      float* all = &shared<float>();
      CHECK(std::isnan(all[thread()]) && reinterpret_cast<uintptr_t>(all) % 128 == 0);
      CHECK(std::isnan(widen(reinterpret_cast<BF16*>(all)[thread()])));
      CHECK(std::isnan(widen(reinterpret_cast<F16*>(all)[thread()])));
      __syncthreads();
      all[thread()] = 1;
    });
}

TEST(a_barrier_orders_the_block) {
  one_block(96, 96 * sizeof(int), [] {
    int* all = &shared<int>();
    for (int round = 0; round < 3; ++round) {
      all[thread()] = thread() + round;
      __syncthreads();
      CHECK(all[(thread() + 41) % 96] == (thread() + 41) % 96 + round);
      __syncthreads();
    }
  });
}

TEST(a_missing_barrier_shows) {
  int n_wrong = 0;
  one_block(64, 64 * sizeof(float), [&] {
    float* all = &shared<float>();
    all[thread()] = 1;
    n_wrong += std::isnan(all[63 - thread()]);
  });
  CHECK(n_wrong > 0);
}

TEST(threads_that_ended_are_not_waited_for) {
  int n_past = 0;
  one_block(64, 0, [&] {
    if (thread() >= 40) return;
    __syncthreads();
    ++n_past;
  });
  CHECK(n_past == 40);
}

TEST(a_divergent_barrier_is_reported) {
  THROWS("threads diverge: 32 of 64 wait at a block barrier", one_block(64, 0, [] {
           if (thread() < 32) named_barrier(1, 64);
         }));
  THROWS("different counts", one_block(96, 0, [] { named_barrier(1, thread() < 32 ? 96 : 64); }));
  const auto branches = [] {  // not within the macro, where all is one line
    if (thread() < 32)
      __syncthreads();
    else
      __syncthreads();
  };
  THROWS("at block barriers in lines", one_block(64, 0, branches));
  THROWS("a multiple of 32", one_block(64, 0, [] { named_barrier(1, 48); }));
  THROWS("a multiple of 32", one_block(64, 0, [] { named_barrier(1, 96); }));
  THROWS("of 0 to 15", one_block(64, 0, [] { named_barrier(16, 64); }));
}

TEST(a_divergent_collective_is_reported) {
  THROWS("wait at a warp's collective", one_block(32, 0, [] {
           if (thread() < 31) __syncwarp();
         }));
  THROWS("wait at a warp's collective", one_block(16, 0, [] { warp_sum(1); }));  // lanes that are not there
  THROWS("different collectives", one_block(32, 0, [] {
           if (thread() < 16)
             warp_sum(1);
           else
             __ballot_sync(kAllLanes, true);
         }));
  THROWS("different collectives", one_block(32, 0, [] { __syncwarp(thread() < 16 ? 0xffffu : kAllLanes); }));
  THROWS("leaves it out", one_block(32, 0, [] { __syncwarp(0xffffu); }));
  THROWS("threads diverge", one_block(64, 0, [] {
           if (thread() < 32)
             __syncthreads();
           else if (thread() == 40)
             __syncwarp();
         }));
}

TEST(a_block_runs_after_one_that_failed) {
  THROWS("threads diverge", one_block(96, 1024, [] {
           volatile float local[64] = {};  // on a stack that nobody unwinds
           if (thread() == 70 && local[thread() % 64] == 0) __syncwarp();
           if (thread() < 32) named_barrier(2, 96);
         }));
  int sum = 0;
  one_block(96, 1024, [&] {
    volatile int local[200];
    for (int i = 0; i < 200; ++i) local[i] = i;
    __syncthreads();
    named_barrier(2, 96);
    sum += local[199];
  });
  CHECK(sum == 96 * 199);
}

TEST(named_barriers_are_apart) {
  // Two warps each at their own barrier, many times over, and all four at a third.
  one_block(128, 128 * sizeof(int), [] {
    int* all = &shared<int>();
    const int half = thread() / 64, mate = half * 64 + (thread() + 32) % 64;
    for (int round = 0; round < 5 + 2 * half; ++round) {
      all[thread()] = round;
      named_barrier(1 + half, 64);
      CHECK(all[mate] == round);
      named_barrier(1 + half, 64);
    }
    named_barrier(15, 128);
    CHECK(all[127 - thread()] == (thread() < 64 ? 6 : 4));
  });
}

TEST(copies_land_when_they_are_waited_for) {
  alignas(16) static const std::array<float, 32> from = [] {
    std::array<float, 32> values;
    std::iota(values.begin(), values.end(), 1.0f);
    return values;
  }();
  for (const bool lazy : {true, false}) {
    const With with({7, true, lazy});
    one_block(1, 128, [&] {
      float* to = &shared<float>();
      for (int group = 0; group < 3; ++group) {
        copy_async16(to + 4 * group, from.data() + 4 * group, 16);
        copy_commit();
      }
      copy_async16(to + 12, from.data() + 12, 0);
      copy_commit();
      const auto landed = [&](int i) { return to[4 * i] == from[4 * static_cast<size_t>(i)]; };
      CHECK(std::isnan(to[0]) == lazy && std::isnan(to[8]) == lazy);
      copy_wait<3>();
      CHECK(landed(0) && landed(1) == !lazy);
      copy_wait<1>();
      CHECK(landed(1) && landed(2) && std::isnan(to[12]) == lazy);
      copy_wait<0>();
      for (int i = 0; i < 12; ++i) CHECK(to[i] == from[static_cast<size_t>(i)]);
      for (int i = 12; i < 16; ++i) CHECK(to[i] == 0);  // what is not read is zeros
      CHECK(std::isnan(to[16]));
    });
  }
}

TEST(a_missing_wait_shows_when_copies_are_lazy) {
  alignas(16) static const float from[4] = {1, 2, 3, 4};
  const With with({1, true, true});
  one_block(32, 16, [] {
    float* to = &shared<float>();
    if (thread() == 0) copy_async16(to, from, 16);
    copy_commit();
    __syncthreads();
    CHECK(std::isnan(to[thread() % 4]));
  });
  // Another thread's wait is not ours.
  one_block(64, 16, [] {
    float* to = &shared<float>();
    if (thread() == 0) copy_async16(to, from, 16);
    copy_commit();
    if (thread() >= 32) copy_wait<0>();
    __syncthreads();
    CHECK(std::isnan(to[0]));
  });
}

TEST(a_thread_commits_what_it_copies) {
  alignas(16) static const float from[8] = {};
  for (const bool lazy : {true, false}) {
    const With with({1, true, lazy});
    THROWS("no group holds", one_block(1, 16, [] { copy_async16(&shared<float>(), from, 16); }));
    THROWS("not a multiple of the 16 bytes", one_block(1, 32, [] { copy_async16(&shared<float>() + 1, from, 16); }));
    THROWS("not a multiple of the 16 bytes", one_block(1, 32, [] { copy_async16(&shared<float>(), from + 1, 16); }));
  }
  THROWS("not a multiple of the 16 bytes", one_block(1, 0, [] { load_once(from + 1); }));
}
