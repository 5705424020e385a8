// Coroutines with a stack each, switched by hand: what the threads of an emulated block are.
#pragma once

#include <cstddef>

namespace gattling::emulation {

// A stack that runs `entry` when it is first switched to. Stacks are kept and used again.
class Fiber {
 public:
  using Entry = void (*)();

  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // The next switch to it calls entry, which must never return. One entry serves all fibers of a thread.
  void prepare(Entry entry);

 private:
  friend void switch_to(Fiber& from, Fiber& to);
  friend class HostFiber;
  struct Adopt {};
  explicit Fiber(Adopt) {}

  void* stack_ = nullptr;  // null: the host thread's own
  void* pointer_ = nullptr;
  void* sanitizer_ = nullptr;  // ASan's notes about this stack
};

// The stack that the caller is on, to switch back to.
class HostFiber : public Fiber {
 public:
  HostFiber() : Fiber(Adopt{}) {}
};

void switch_to(Fiber& from, Fiber& to);

}  // namespace gattling::emulation
