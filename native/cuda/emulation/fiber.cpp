#include "cuda/emulation/fiber.h"

#include <cstdint>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__)
#define GATTLING_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GATTLING_ASAN 1
#endif
#endif
#ifdef GATTLING_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#ifndef __x86_64__
#include <ucontext.h>
#endif

namespace gattling::emulation {
namespace {

#ifdef GATTLING_ASAN
constexpr size_t kStackBytes = 256 << 10;  // red zones make frames large
#else
constexpr size_t kStackBytes = 64 << 10;
#endif

// ASan wants to know of every switch, and the bounds of the stack that is switched to; those of the host's own it tells
// to the first fiber.
#ifdef GATTLING_ASAN
thread_local const void* host_stack;
thread_local size_t host_bytes;
thread_local bool from_host;

void before_switch(bool leaves_host, void** notes, void* stack) {
  from_host = leaves_host;
  __sanitizer_start_switch_fiber(notes, stack ? stack : host_stack, stack ? kStackBytes : host_bytes);
}

// Frames that were abandoned, and those of a thread's end, leave their red zones behind.
void forget_frames(void* stack) {
  __asan_unpoison_memory_region(stack, kStackBytes);
}

void after_switch(void* notes) {
  const void* left;
  size_t bytes;
  __sanitizer_finish_switch_fiber(notes, &left, &bytes);
  if (!from_host) return;
  host_stack = left;
  host_bytes = bytes;
}
#else
void before_switch(bool, void**, void*) {}
void forget_frames(void*) {}
void after_switch(void*) {}
#endif

thread_local Fiber::Entry next_entry;

void first_steps() {
  after_switch(nullptr);
  next_entry();
}

}  // namespace

#ifdef __x86_64__

// Saves the registers that a call preserves (System V ABI, section 3.2.1) on the stack left, and restores those of the
// stack taken.
extern "C" void gattling_switch_stack(void** leave, void* take);
asm(R"(
.text
.globl gattling_switch_stack
.hidden gattling_switch_stack
.type gattling_switch_stack, @function
gattling_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size gattling_switch_stack, .-gattling_switch_stack
)");

Fiber::Fiber() : stack_(std::aligned_alloc(64, kStackBytes)) {}
Fiber::~Fiber() {
  std::free(stack_);
}

void Fiber::prepare(Entry entry) {
  forget_frames(stack_);
  auto* top = reinterpret_cast<uintptr_t*>(static_cast<char*>(stack_) + kStackBytes);
  *--top = 0;  // where a call would leave its return address: a function begins 8 off a multiple of 16
  *--top = reinterpret_cast<uintptr_t>(&first_steps);
  for (int i = 0; i < 6; ++i) *--top = 0;
  pointer_ = top;
  next_entry = entry;
  sanitizer_ = nullptr;
}

#else

Fiber::Fiber() : stack_(std::aligned_alloc(64, kStackBytes)), pointer_(new ucontext_t) {}
Fiber::~Fiber() {
  std::free(stack_);
  delete static_cast<ucontext_t*>(pointer_);
}

void Fiber::prepare(Entry entry) {
  forget_frames(stack_);
  auto* context = static_cast<ucontext_t*>(pointer_);
  getcontext(context);
  context->uc_stack.ss_sp = stack_;
  context->uc_stack.ss_size = kStackBytes;
  context->uc_link = nullptr;
  makecontext(context, &first_steps, 0);
  next_entry = entry;
  sanitizer_ = nullptr;
}

#endif

void switch_to(Fiber& from, Fiber& to) {
  before_switch(from.stack_ == nullptr, &from.sanitizer_, to.stack_);
#ifdef __x86_64__
  gattling_switch_stack(&from.pointer_, to.pointer_);
#else
  static thread_local ucontext_t host;
  swapcontext(from.stack_ ? static_cast<ucontext_t*>(from.pointer_) : &host,
              to.stack_ ? static_cast<ucontext_t*>(to.pointer_) : &host);
#endif
  after_switch(from.sanitizer_);
}

}  // namespace gattling::emulation
