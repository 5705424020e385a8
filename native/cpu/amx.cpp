#include "cpu/amx.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "backend/half.h"
#include "backend/tensor.h"
#include "cpu/pack.h"

namespace gattling::cpu {
namespace {

bool processor_has_amx() {
  constexpr unsigned kTiles = 1u << 24 | 1u << 22;  // AMX-TILE, AMX-BF16
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & kTiles) == kTiles;
}

// The system saves the tiles (XCR0 bits 17 and 18), and lets this process have them: they make its signal frames
// larger, so that Linux wants to be asked (Documentation/arch/x86/xstate.rst). The answer holds for all threads.
bool system_grants_amx() {
  constexpr unsigned kSaved = 3u << 17;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM
  unsigned low = 0, high = 0;
  asm("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & kSaved) == kSaved && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

bool same_products(const Kernels& a, const Kernels& b, int rows, int64_t n, int64_t k) {
  const int64_t depth = (k + kTileDepth - 1) / kTileDepth * kTileDepth;
  const int64_t tiles = (n + kTileOutputs - 1) / kTileOutputs, tile_size = depth * kTileOutputs;
  uint32_t state = 1;
  const auto number = [&state](bool small) {
    state = state * 1664525u + 1013904223u;
    const uint32_t exponent = state >> 28 == 0 ? 0 : (small ? 55 : 120) + (state >> 24) % 12;
    return bf16{static_cast<uint16_t>((state & 0x8000u) | exponent << 7 | (state >> 16 & 0x7fu))};
  };
  std::vector<float> x(static_cast<size_t>(rows * k)), bias(static_cast<size_t>(n));
  std::vector<bf16> weights(static_cast<size_t>(tiles * tile_size)), halves(static_cast<size_t>(rows * depth));
  for (size_t i = 0; i < x.size(); ++i) x[i] = widen(number(static_cast<int64_t>(i) / k % 3 == 0));
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = number(static_cast<int64_t>(i) / tile_size % 2 == 0);
  // None for the small ones, or they would not be seen.
  for (size_t i = 0; i < bias.size(); ++i)
    bias[i] = static_cast<int64_t>(i) / kTileOutputs % 2 == 0 ? 0 : widen(number(false));
  std::vector<float> out[2];
  const Kernels* kernels[] = {&a, &b};
  for (int i = 0; i < 2; ++i) {
    for (int64_t row = 0; row < rows; ++row)
      kernels[i]->halve(&x[static_cast<size_t>(row * k)], k, depth, &halves[static_cast<size_t>(row * depth)]);
    out[i].assign(static_cast<size_t>(rows * n), 0.0f);
    kernels[i]->linear_halves({.x = x.data(),
                               .out = out[i].data(),
                               .tiles = weights.data(),
                               .bias = bias.data(),
                               .n = n,
                               .k = k,
                               .out_stride = n,
                               .tile_size = tile_size,
                               .dtype = DType::BF16,
                               .halves = halves.data()},
                              0, tiles, 0, rows);
  }
  return std::memcmp(out[0].data(), out[1].data(), out[0].size() * sizeof(float)) == 0;
}

bool has_amx() {
  static const bool has =
      processor_has_amx() && system_grants_amx() && same_products(kernels_amx(), kernels_amx_twin(), 37, 72, 600);
  return has;
}

}  // namespace gattling::cpu
