// The emulation's collectives and fragments against the CUDA C++ Programming Guide and the PTX ISA, computed here from
// their index formulas alone.
#include <cstring>
#include <set>

#include "cuda/device.h"
#include "test.h"

using namespace gattling;
using namespace gattling::cuda;

namespace {

using emulation::run_grid;

void one_block(unsigned n_threads, size_t shared_bytes, const std::function<void()>& body) {
  run_grid({1, 1, 1}, {n_threads, 1, 1}, shared_bytes, body);
}

int thread() {
  return static_cast<int>(threadIdx.x);
}

}  // namespace

TEST(shuffles_and_votes) {
  one_block(64, 0, [] {
    const int lane = lane_id(), base = thread() - lane, mine = 1000 + thread();
    CHECK(__shfl_sync(kAllLanes, mine, 5) == 1000 + base + 5);
    CHECK(__shfl_sync(kAllLanes, mine, (lane * 7 + 3) % 32) == 1000 + base + (lane * 7 + 3) % 32);
    for (int bits = 1; bits < 32; bits *= 2)
      CHECK(__shfl_xor_sync(kAllLanes, mine, bits) == 1000 + base + (lane ^ bits));
    CHECK(__shfl_up_sync(kAllLanes, mine, 3) == (lane < 3 ? mine : mine - 3));
    CHECK(__shfl_down_sync(kAllLanes, mine, 3) == (lane > 28 ? mine : mine + 3));
    CHECK(__shfl_xor_sync(kAllLanes, 0.5 * lane, 16) == 0.5 * (lane ^ 16));
    CHECK(__ballot_sync(kAllLanes, thread() % 3 == 0) == (base == 0 ? 0x49249249u : 0x92492492u));
    CHECK(__any_sync(kAllLanes, lane == 31) && !__any_sync(kAllLanes, lane == 32));
    CHECK(__all_sync(kAllLanes, lane < 32) && !__all_sync(kAllLanes, lane != 7));
    CHECK(warp_sum(static_cast<float>(lane)) == 496 && warp_max(static_cast<float>(-lane)) == 0);
    if (lane < 8) CHECK(__shfl_xor_sync(0xffu, mine, 4) == 1000 + base + (lane ^ 4));
    if (lane < 8) CHECK(__ballot_sync(0xffu, lane % 2 == 0) == 0x55u);
  });
}

TEST(atomics) {
  int counter = 0, least = 1 << 20, most = -1, owner = -1;
  unsigned bits = 0;
  std::set<int> tickets;
  run_grid({4, 1, 1}, {64, 1, 1}, 0, [&] {
    tickets.insert(atomicAdd(&counter, 1));
    atomicMin(&least, thread());
    atomicMax(&most, thread());
    atomicOr(&bits, 1u << thread() % 32);
    if (atomicCAS(&owner, -1, thread()) == -1) CHECK(owner == thread());
  });
  CHECK(counter == 256 && tickets.size() == 256 && *tickets.rbegin() == 255);
  CHECK(least == 0 && most == 63 && bits == 0xffffffffu && owner >= 0);
  CHECK(atomicExch(&owner, 5) >= 0 && owner == 5);
}

// PTX ISA, "Warp-level matrix load instruction: ldmatrix": with .x4 the rows of matrix m are at the addresses of
// threads 8 m to 8 m + 7; thread T receives of each matrix row T / 4, elements 2 (T % 4) and 2 (T % 4) + 1.
TEST(ldmatrix) {
  constexpr int kStride = 24;  // elements: rows need not be dense
  one_block(32, 32 * kStride * 2, [] {
    auto* all = &shared<uint16_t>();
    const int lane = lane_id();
    for (int i = 0; i < kStride; ++i) all[lane * kStride + i] = static_cast<uint16_t>(lane * 256 + i);
    __syncwarp();
    const auto element = [](int matrix, int row, int column) {
      return static_cast<uint32_t>((matrix * 8 + row) * 256 + column + 8);
    };
    uint32_t plain[4], transposed[4];
    load_matrices(plain, all + lane * kStride + 8);
    load_matrices_transposed(transposed, all + lane * kStride + 8);
    for (int m = 0; m < 4; ++m) {
      const int major = lane >> 2, minor = (lane & 3) << 1;
      CHECK(plain[m] == (element(m, major, minor) | element(m, major, minor + 1) << 16));
      CHECK(transposed[m] == (element(m, minor, major) | element(m, minor + 1, major) << 16));
    }
  });
  THROWS("not a multiple of the 16 bytes", one_block(32, 1024, [] {
           uint32_t r[4];
           load_matrices(r, &shared<uint16_t>() + 4);
         }));
}

// PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type": for element i of a thread's fragment,
// groupID = laneid >> 2 and threadID_in_group = laneid % 4,
// A: row = groupID for (0 <= i < 2 || 4 <= i < 6), else groupID + 8; col = threadID_in_group * 2 + (i & 1), + 8 for
// i >= 4. B: row = threadID_in_group * 2 + (i & 1), + 8 for i >= 2; col = groupID. C: row = groupID for i < 2, else
// groupID + 8; col = threadID_in_group * 2 + (i & 1).
template <typename T>
void multiply_as_the_isa_says() {
  float a[16][16], b[16][8], c[16][8];
  for (int i = 0; i < 16; ++i)
    for (int k = 0; k < 16; ++k) a[i][k] = static_cast<float>((i * 37 + k * 11) % 29 - 14) / 8;
  for (int k = 0; k < 16; ++k)
    for (int j = 0; j < 8; ++j) b[k][j] = static_cast<float>((k * 23 + j * 41) % 31 - 15) / 4;
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 8; ++j) c[i][j] = static_cast<float>(i * 8 + j) / 2;
  int n_checked = 0;
  one_block(64, 0, [&] {
    const int group = lane_id() >> 2, in_group = lane_id() % 4;
    T a_fragment[8], b_fragment[4];
    for (int i = 0; i < 8; ++i) {
      const int row = (0 <= i && i < 2) || (4 <= i && i < 6) ? group : group + 8;
      const int column = in_group * 2 + (i & 1) + (i >= 4 ? 8 : 0);
      a_fragment[i] = narrow<T>(a[row][column]);
    }
    for (int i = 0; i < 4; ++i) b_fragment[i] = narrow<T>(b[in_group * 2 + (i & 1) + (i >= 2 ? 8 : 0)][group]);
    uint32_t a_registers[4], b_registers[2];
    std::memcpy(a_registers, a_fragment, sizeof(a_registers));
    std::memcpy(b_registers, b_fragment, sizeof(b_registers));
    float d[4];
    const auto row_of = [&](int i) { return i < 2 ? group : group + 8; };
    for (int i = 0; i < 4; ++i) d[i] = c[row_of(i)][in_group * 2 + (i & 1)];
    multiply<T>(d, a_registers, b_registers);
    for (int i = 0; i < 4; ++i) {
      const int column = in_group * 2 + (i & 1);
      float expected = c[row_of(i)][column];  // exact: few bits everywhere
      for (int k = 0; k < 16; ++k) expected += a[row_of(i)][k] * b[k][column];
      CHECK(d[i] == expected);
      ++n_checked;
    }
  });
  CHECK(n_checked == 64 * 4);
}

TEST(mma_m16n8k16_bf16) {
  multiply_as_the_isa_says<BF16>();
}
TEST(mma_m16n8k16_f16) {
  multiply_as_the_isa_says<F16>();
}

TEST(pairs_hold_the_first_in_the_low_half) {
  CHECK(pack2<BF16>(1, -2) == 0xc0003f80u);
  CHECK(pack2<F16>(1, -2) == 0xc0003c00u);
  const float2 both = unpack2<F16>(0xc0003c00u);
  CHECK(both.x == 1 && both.y == -2);
}
