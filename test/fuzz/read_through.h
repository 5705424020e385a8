// Touches memory, so that the address sanitizer sees what a view spans.
#pragma once

#include <cstddef>
#include <span>

namespace fuzz {

inline void read_through(std::span<const std::byte> bytes) {
  volatile std::byte sink{};
  for (std::byte byte : bytes) sink = byte;
  static_cast<void>(sink);
}

}  // namespace fuzz
