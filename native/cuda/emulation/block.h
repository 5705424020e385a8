// Runs a kernel's blocks one after another on the host, a fiber for each thread of a block.
//
// What it is strict about: a barrier or a warp's collective that not all of its threads reach is an error, and so is a
// __syncthreads that they reach in different lines; the order of blocks and of threads is random (seeded); shared
// memory holds rubbish before it is written; asynchronous copies land as late as they may, or as early; addresses of
// copies and of matrices are aligned; a launch stays within what compute capability 8.0 offers. What it cannot see:
// bank conflicts, memory ordering, speed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace gattling::emulation {

struct Index3 {
  unsigned x = 0, y = 0, z = 0;
};

struct Options {
  uint64_t seed = 1;
  bool random_order = true;
  bool lazy_copies = true;  // asynchronous copies land when they are waited for, else at once
};

// Of all launches of the process from now on. The environment variable GATTLING_EMULATION_SEED gives the first seed;
// odd seeds copy lazily.
Options& options();

// Runs body once for each thread of each block. Throws std::runtime_error on the first thing that is not allowed.
void run_grid(Index3 grid, Index3 block, size_t shared_bytes, const std::function<void()>& body);

// For code within body.
struct Place {
  Index3 thread, block, block_size, grid_size;
  int linear = 0;  // thread within the block
};
extern Place place;  // of the thread that runs; launches never overlap

std::byte* shared_memory();
void block_barrier(int id, int n_threads, int line = 0);  // n_threads 0: all that still run
void require_aligned(const void* address, int bytes);
// Waits for every lane of the mask; `kind` names the collective, so that different ones never meet. Returns the warp's
// exchange area, where slot(lane) is what that lane wrote before.
struct Exchange {
  alignas(16) std::byte slots[32][64];
  template <typename T>
  T& slot(int lane) {
    static_assert(sizeof(T) <= 64);
    return *reinterpret_cast<T*>(slots[lane]);
  }
};
Exchange& warp_outbox();  // to write into before meeting
Exchange& warp_meet(uint32_t mask, int kind);

void copy_async(void* to, const void* from, int bytes, int filled);  // filled <= bytes from `from`, the rest zeros
void copy_commit();
void copy_wait(int n_pending);  // until at most so many groups of this thread are open

}  // namespace gattling::emulation
