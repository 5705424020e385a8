#include "cuda/emulation/block.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/emulation/fiber.h"

namespace gattling::emulation {

Place place;

namespace {

constexpr int kNamedBarriers = 16;
constexpr std::byte kPoison{0xff};  // NaN in every float type

struct Copy {
  std::byte* to;
  const std::byte* from;
  int bytes;
  int filled;
};

void land(const Copy& copy) {
  std::memcpy(copy.to, copy.from, static_cast<size_t>(copy.filled));
  std::memset(copy.to + copy.filled, 0, static_cast<size_t>(copy.bytes - copy.filled));
}

struct Barrier {
  int wanted = 0;
  std::vector<int> waiting;  // threads
};

struct Warp {
  Exchange exchanges[2];  // the lanes of one meeting still read while the next is written
  int turn = 0;
  uint32_t mask = 0, arrived = 0;
  int kind = 0;
};

struct Thread {
  Fiber fiber;
  bool done = false;
  const char* waits_at = nullptr;
  Place place;
  std::vector<std::vector<Copy>> groups;  // committed copies, oldest first
  std::vector<Copy> open;
};

class Block {
 public:
  void run(Index3 index, Index3 size, Index3 grid, size_t shared_bytes, const std::function<void()>& body);
  std::byte* shared() { return shared_.get(); }

  void barrier(int id, int n_threads);
  Warp& warp() { return warps_[static_cast<size_t>(current_ / 32)]; }
  Exchange& meet(uint32_t mask, int kind);
  Thread& thread() { return *threads_[static_cast<size_t>(current_)]; }

 private:
  static void enter();
  void block_until_ready(const char* at);
  void resume_next();
  void release(Barrier& barrier);
  [[noreturn]] void fail(const std::string& what);
  void leave();

  std::vector<std::unique_ptr<Thread>> threads_;
  std::vector<Warp> warps_;
  Barrier barriers_[kNamedBarriers];
  std::vector<int> ready_;
  HostFiber host_;
  int current_ = -1;
  int n_running_ = 0;
  uint64_t random_ = 0;
  std::unique_ptr<std::byte[]> shared_;
  const std::function<void()>* body_ = nullptr;
  std::string failure_;
};

Block& running() {
  static Block block;
  return block;
}

std::mutex& launches() {
  static std::mutex mutex;
  return mutex;
}

void Block::run(Index3 index, Index3 size, Index3 grid, size_t shared_bytes, const std::function<void()>& body) {
  const int n = static_cast<int>(size.x * size.y * size.z);
  while (threads_.size() < static_cast<size_t>(n)) threads_.push_back(std::make_unique<Thread>());
  warps_.resize(static_cast<size_t>((n + 31) / 32));
  for (Warp& warp : warps_) warp.mask = warp.arrived = 0;
  for (Barrier& barrier : barriers_) barrier = {};
  shared_ = std::make_unique<std::byte[]>(shared_bytes);
  std::memset(shared_.get(), static_cast<int>(kPoison), shared_bytes);
  body_ = &body;
  random_ = random_ * 31 + options().seed + index.x;
  ready_.clear();
  n_running_ = n;
  failure_.clear();
  for (int i = 0; i < n; ++i) {
    Thread& thread = *threads_[static_cast<size_t>(i)];
    thread.done = false;
    thread.groups.clear();
    thread.open.clear();
    const unsigned at = static_cast<unsigned>(i);
    thread.place = {{at % size.x, at / size.x % size.y, at / size.x / size.y}, index, size, grid, i};
    thread.fiber.prepare(enter);
    ready_.push_back(i);
  }
  current_ = -1;
  resume_next();
  if (!failure_.empty()) throw std::runtime_error(failure_);
}

void Block::enter() {
  Block& block = running();
  (*block.body_)();
  block.leave();
}

void Block::leave() {
  Thread& thread = this->thread();
  thread.done = true;
  if (!thread.open.empty()) fail("a thread ended with asynchronous copies that no group holds");
  --n_running_;
  Barrier& barrier = barriers_[0];
  if (barrier.wanted == 0 && !barrier.waiting.empty() && static_cast<int>(barrier.waiting.size()) == n_running_)
    release(barrier);
  resume_next();
  std::abort();  // not reached: nobody resumes a thread that is done
}

// Picks who runs next, the host when all are done.
void Block::resume_next() {
  Fiber* from = current_ < 0 ? &host_ : &thread().fiber;
  if (ready_.empty()) {
    if (n_running_ > 0 && failure_.empty()) {
      for (const auto& thread : threads_)
        if (!thread->done && thread->waits_at)
          failure_ = std::string("threads diverge: some wait at ") + thread->waits_at;
    }
    current_ = -1;
    switch_to(*from, host_);
    return;
  }
  size_t pick = 0;
  if (options().random_order) {
    random_ = random_ * 6364136223846793005u + 1442695040888963407u;
    pick = static_cast<size_t>(random_ >> 33) % ready_.size();
  }
  const int next = ready_[pick];
  ready_[pick] = ready_.back();
  ready_.pop_back();
  Thread& thread = *threads_[static_cast<size_t>(next)];
  if (next == current_) {
    thread.waits_at = nullptr;
    return;
  }
  current_ = next;
  thread.waits_at = nullptr;
  place = thread.place;
  switch_to(*from, thread.fiber);
}

void Block::block_until_ready(const char* at) {
  const int self = current_;
  thread().waits_at = at;
  resume_next();
  // Back on this thread's stack.
  current_ = self;
  place = thread().place;
}

void Block::release(Barrier& barrier) {
  ready_.insert(ready_.end(), barrier.waiting.begin(), barrier.waiting.end());
  barrier.waiting.clear();
}

// An error ends the block at once: the other fibers are abandoned where they are.
void Block::fail(const std::string& what) {
  failure_ = what;
  ready_.clear();
  Fiber& self = thread().fiber;
  current_ = -1;
  switch_to(self, host_);
  std::abort();
}

void Block::barrier(int id, int n_threads) {
  Barrier& barrier = barriers_[id];
  if (barrier.waiting.empty())
    barrier.wanted = n_threads;
  else if (barrier.wanted != n_threads)
    fail("threads of one barrier name different counts");
  barrier.waiting.push_back(current_);
  const int wanted = n_threads == 0 ? n_running_ : n_threads;
  if (static_cast<int>(barrier.waiting.size()) == wanted) release(barrier);
  block_until_ready("a block barrier");
}

Exchange& Block::meet(uint32_t mask, int kind) {
  Warp& warp = this->warp();
  const uint32_t lane = 1u << (current_ % 32);
  if (!(mask & lane)) fail("a lane calls a collective whose mask leaves it out");
  if (warp.arrived == 0) {
    warp.mask = mask;
    warp.kind = kind;
  } else if (warp.mask != mask || warp.kind != kind) {
    fail("lanes of a warp meet in different collectives");
  }
  warp.arrived |= lane;
  Exchange& exchange = warp.exchanges[warp.turn];
  if (warp.arrived == warp.mask) {
    warp.arrived = 0;
    warp.turn ^= 1;
    const int first = current_ / 32 * 32;
    for (int i = 0; i < 32; ++i)
      if ((mask >> i & 1) && first + i != current_) ready_.push_back(first + i);
    return exchange;
  }
  block_until_ready("a warp's collective");
  return exchange;
}

}  // namespace

Options& options() {
  static Options options = [] {
    Options first;
    if (const char* seed = std::getenv("GATTLING_EMULATION_SEED")) {
      first.seed = std::strtoull(seed, nullptr, 10);
      first.lazy_copies = first.seed % 2 == 1;
    }
    return first;
  }();
  return options;
}

void run_grid(Index3 grid, Index3 block, size_t shared_bytes, const std::function<void()>& body) {
  const std::lock_guard lock(launches());
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x; ++x) running().run({x, y, z}, block, grid, shared_bytes, body);
}

std::byte* shared_memory() {
  return running().shared();
}

void block_barrier(int id, int n_threads) {
  running().barrier(id, n_threads);
}

Exchange& warp_outbox() {
  Warp& warp = running().warp();
  return warp.exchanges[warp.turn];
}

Exchange& warp_meet(uint32_t mask, int kind) {
  return running().meet(mask, kind);
}

void copy_async(void* to, const void* from, int bytes, int filled) {
  const Copy copy = {static_cast<std::byte*>(to), static_cast<const std::byte*>(from), bytes, filled};
  if (!options().lazy_copies) return land(copy);
  running().thread().open.push_back(copy);
}

void copy_commit() {
  Thread& thread = running().thread();
  thread.groups.push_back(std::move(thread.open));
  thread.open.clear();
}

void copy_wait(int n_pending) {
  Thread& thread = running().thread();
  while (static_cast<int>(thread.groups.size()) > n_pending) {
    for (const Copy& copy : thread.groups.front()) land(copy);
    thread.groups.erase(thread.groups.begin());
  }
}

}  // namespace gattling::emulation
