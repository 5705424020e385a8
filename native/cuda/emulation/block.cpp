#include "cuda/emulation/block.h"

#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "cuda/emulation/fiber.h"

namespace gattling::emulation {

Place place;

namespace {

constexpr int kNamedBarriers = 16;
constexpr size_t kSharedAlignment = 128;  // as shared() declares it
constexpr std::byte kPoison{0xff};        // NaN in every float type

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

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what);
}

struct Barrier {
  int wanted = 0;
  int line = 0;
  std::vector<int> waiting;  // threads
};

struct Warp {
  Exchange exchanges[2];  // the lanes of one meeting still read while the next is written
  int turn = 0;
  uint32_t mask = 0, arrived = 0;
  int kind = 0;
};

struct FreeShared {
  void operator()(std::byte* data) const { ::operator delete[](data, std::align_val_t{kSharedAlignment}); }
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

  void barrier(int id, int n_threads, int line);
  Warp& warp() { return warps_[static_cast<size_t>(current_ / 32)]; }
  Exchange& meet(uint32_t mask, int kind);
  Thread& thread() { return *threads_[static_cast<size_t>(current_)]; }

 private:
  [[noreturn]] void stop();
  static void enter();
  void block_until_ready(const char* at);
  void resume_next();
  size_t draw();
  void release(Barrier& barrier);
  std::string divergence() const;
  void leave();

  std::vector<std::unique_ptr<Thread>> threads_;
  std::vector<Warp> warps_;
  Barrier barriers_[kNamedBarriers];
  std::vector<int> ready_;
  HostFiber host_;
  int current_ = -1;
  int n_threads_ = 0, n_running_ = 0;
  uint64_t random_ = 0;
  uint32_t skew_ = 0;  // odd: what ranks warps; 0: none is favoured
  std::unique_ptr<std::byte[], FreeShared> shared_;
  const std::function<void()>* body_ = nullptr;
  std::string failure_;
  std::exception_ptr thrown_;  // by a thread
};

Block& running() {
  static Block block;
  return block;
}

std::mutex& launches() {
  static std::mutex mutex;
  return mutex;
}

// What compute capability 8.0 offers (CUDA C++ Programming Guide, "Technical Specifications per Compute Capability").
void check_limits(Index3 grid, Index3 block, size_t shared_bytes) {
  const auto check = [](bool holds, const char* what) {
    if (!holds) throw std::runtime_error(std::string("a launch ") + what);
  };
  check(grid.x > 0 && grid.y > 0 && grid.z > 0, "of no blocks");
  check(grid.x <= 0x7fffffffu && grid.y <= 65535 && grid.z <= 65535, "of more blocks than a grid may have");
  check(block.x * block.y * block.z > 0, "of no threads");
  check(block.x <= 1024 && block.y <= 1024 && block.z <= 64 && block.x * block.y * block.z <= 1024,
        "of more than 1024 threads a block");
  check(shared_bytes <= (163u << 10), "with more than 163 KiB of shared memory a block");
}

void Block::run(Index3 index, Index3 size, Index3 grid, size_t shared_bytes, const std::function<void()>& body) {
  const int n = static_cast<int>(size.x * size.y * size.z);
  while (threads_.size() < static_cast<size_t>(n)) threads_.push_back(std::make_unique<Thread>());
  warps_.resize(static_cast<size_t>((n + 31) / 32));
  for (Warp& warp : warps_) warp.mask = warp.arrived = 0;
  for (Barrier& barrier : barriers_) barrier = {};
  // Of just this size, so that ASan sees what reaches past it.
  shared_.reset(new (std::align_val_t{kSharedAlignment}) std::byte[shared_bytes]);
  std::memset(shared_.get(), static_cast<int>(kPoison), shared_bytes);
  body_ = &body;
  random_ = (random_ + options().seed + index.x) * 6364136223846793005u + 1442695040888963407u;
  skew_ = random_ >> 63 != 0 ? static_cast<uint32_t>(random_ >> 31 | 1) : 0;
  ready_.clear();
  n_threads_ = n_running_ = n;
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
  if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
  if (!failure_.empty()) throw std::runtime_error(failure_);
}

void Block::enter() {
  Block& block = running();
  try {
    (*block.body_)();
    if (!block.thread().open.empty()) fail("a thread ended with asynchronous copies that no group holds");
  } catch (...) {
    block.thrown_ = std::current_exception();
  }
  if (block.thrown_) block.stop();
  block.leave();
}

void Block::leave() {
  thread().done = true;
  --n_running_;
  Barrier& barrier = barriers_[0];
  if (barrier.wanted == 0 && !barrier.waiting.empty() && static_cast<int>(barrier.waiting.size()) == n_running_)
    release(barrier);
  resume_next();
  std::abort();  // not reached: nobody resumes a thread that is done
}

// A ready thread by chance. In skewed blocks it is the one of the best warp out of a few: otherwise warps would keep
// pace on the whole, and none would ever be far ahead of one whose data it overwrites.
size_t Block::draw() {
  random_ = random_ * 6364136223846793005u + 1442695040888963407u;
  const auto candidate = [&](int i) { return static_cast<size_t>(random_ >> (20 + 10 * i)) % ready_.size(); };
  const auto rank = [&](size_t at) {
    return static_cast<uint16_t>(static_cast<uint32_t>(ready_[at] / 32) * skew_ + (skew_ >> 16));
  };
  size_t pick = static_cast<size_t>(random_ >> 33) % ready_.size();
  if (skew_ == 0) return pick;
  for (int i = 0; i < 4; ++i)
    if (rank(candidate(i)) > rank(pick)) pick = candidate(i);
  return pick;
}

// Picks who runs next, the host when all are done.
void Block::resume_next() {
  Fiber* from = current_ < 0 ? &host_ : &thread().fiber;
  if (ready_.empty()) {
    if (n_running_ > 0 && failure_.empty()) failure_ = divergence();
    current_ = -1;
    switch_to(*from, host_);
    return;
  }
  const size_t pick = options().random_order ? draw() : 0;
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

std::string Block::divergence() const {
  std::string at;
  int n_waiting = 0;
  for (int i = 0; i < n_threads_; ++i) {
    const Thread& thread = *threads_[static_cast<size_t>(i)];
    if (thread.done) continue;
    ++n_waiting;
    at = thread.waits_at;
  }
  return "threads diverge: " + std::to_string(n_waiting) + " of " + std::to_string(n_threads_) + " wait at " + at;
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

// An error ends the block: the other fibers are abandoned where they are.
void Block::stop() {
  ready_.clear();
  Fiber& self = thread().fiber;
  current_ = -1;
  switch_to(self, host_);
  std::abort();  // not reached
}

void Block::barrier(int id, int n_threads, int line) {
  if (id < 0 || id >= kNamedBarriers || n_threads % 32 != 0 || n_threads > n_threads_)
    fail("a barrier is of 0 to 15, and for a multiple of 32 threads that the block has");
  Barrier& barrier = barriers_[id];
  if (barrier.waiting.empty()) {
    barrier.wanted = n_threads;
    barrier.line = line;
  } else if (barrier.wanted != n_threads) {
    fail("threads of one barrier name different counts");
  } else if (barrier.line != line) {
    fail("threads diverge: they wait at block barriers in lines " + std::to_string(barrier.line) + " and " +
         std::to_string(line));
  }
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
  check_limits(grid, block, shared_bytes);
  const std::lock_guard lock(launches());
  const uint64_t n = uint64_t{grid.x} * grid.y * grid.z;
  // A step that has no factor in common with n visits every block once.
  uint64_t step = 1, at = 0;
  if (options().random_order) {
    step = options().seed * 0x9e3779b97f4a7c15u % n;
    while (std::gcd(step, n) != 1) ++step;
    at = step / 2;
  }
  for (uint64_t i = 0; i < n; ++i, at = (at + step) % n) {
    const auto x = static_cast<unsigned>(at % grid.x), y = static_cast<unsigned>(at / grid.x % grid.y);
    running().run({x, y, static_cast<unsigned>(at / grid.x / grid.y)}, block, grid, shared_bytes, body);
  }
}

std::byte* shared_memory() {
  return running().shared();
}

void block_barrier(int id, int n_threads, int line) {
  running().barrier(id, n_threads, line);
}

Exchange& warp_outbox() {
  Warp& warp = running().warp();
  return warp.exchanges[warp.turn];
}

Exchange& warp_meet(uint32_t mask, int kind) {
  return running().meet(mask, kind);
}

void require_aligned(const void* address, int bytes) {
  if (reinterpret_cast<uintptr_t>(address) % static_cast<uintptr_t>(bytes) != 0)
    fail("an address is not a multiple of the " + std::to_string(bytes) + " bytes at it");
}

void copy_async(void* to, const void* from, int bytes, int filled) {
  require_aligned(to, bytes);
  if (filled > 0) require_aligned(from, bytes);
  Copy copy = {static_cast<std::byte*>(to), static_cast<const std::byte*>(from), bytes, filled};
  if (!options().lazy_copies) {
    land(copy);
    copy.bytes = copy.filled = 0;
  }
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
