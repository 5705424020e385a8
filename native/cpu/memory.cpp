#include "cpu/memory.h"

#include <sys/mman.h>

#include <cstdint>

#include "backend/error.h"

namespace gattling::cpu {

namespace {
constexpr size_t kHugePage = size_t{2} << 20;
}

Memory::Memory(size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  const bool huge = bytes >= kHugePage;
  mapped_ = huge ? bytes + kHugePage : bytes;
  mapping_ = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  check(mapping_ != MAP_FAILED, "The system refused ", bytes, " bytes of memory; use a smaller model or KV cache.");
  uintptr_t start = reinterpret_cast<uintptr_t>(mapping_);
  if (huge) start = (start + kHugePage - 1) / kHugePage * kHugePage;
  data_ = reinterpret_cast<std::byte*>(start);
  if (huge) madvise(data_, bytes, MADV_HUGEPAGE);  // fewer page faults and TLB misses; refusal does no harm
}

Memory::~Memory() {
  if (mapped_ > 0) munmap(mapping_, mapped_);
}

}  // namespace gattling::cpu
