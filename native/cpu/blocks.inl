// Registers of one instruction set, and the blocks of rows and tiles that fill them.

#include "cpu/simd.h"
#include "cpu/simd_ints.h"

#if defined(GATTLING_AVX512)  // 32 registers of 16 floats
constexpr int kRows = 6;      // x kTiles x 2 chains = 24 accumulators
constexpr int kTiles = 2;
constexpr int kFewRows = 3;
constexpr int kFewRowsTiles = 4;
constexpr int kQueries = 8;
constexpr int kColumns = 2;
#elif defined(GATTLING_AVX2)  // 16 registers of 8 floats
constexpr int kRows = 3;
constexpr int kTiles = 1;
constexpr int kFewRows = 1;
constexpr int kFewRowsTiles = 2;
constexpr int kQueries = 3;
constexpr int kColumns = 2;
#elif defined(GATTLING_NEON)  // 32 registers of 4 floats
constexpr int kRows = 2;
constexpr int kTiles = 1;
constexpr int kFewRows = 1;
constexpr int kFewRowsTiles = 1;
constexpr int kQueries = 2;
constexpr int kColumns = 1;
#else
constexpr int kRows = 2;
constexpr int kTiles = 1;
constexpr int kFewRows = 1;
constexpr int kFewRowsTiles = 1;
constexpr int kQueries = 2;
constexpr int kColumns = 1;
#endif

// call(Constant<n>) for n in [1, Most]: register blocks have constant sizes.
template <int N>
struct Constant {
  static constexpr int value = N;
};
template <int Most, typename F>
INLINE void with_constant(int n, const F& call) {
  if constexpr (Most > 0) {
    if (n == Most)
      call(Constant<Most>{});
    else
      with_constant<Most - 1>(n, call);
  }
}
