// Passes over a vocabulary.

// The first whole vectors of n, and the rest padded with `fill`.
template <typename F>
INLINE void each_vector(const float* x, int n, float fill, const F& visit) {
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) visit(load(x + i), i);
  if (i == n) return;
  float rest[kLanes];
  for (int j = 0; j < kLanes; ++j) rest[j] = i + j < n ? x[i + j] : fill;
  visit(load(rest), i);
}

static Peak peak(const float* x, int n) {
  V best = broadcast(x[0]);
  V zeros = broadcast(0);  // 0 * x is 0 unless x is not finite
  each_vector(x, n, x[0], [&](V v, int) {
    best = max(v, best);
    zeros = fma(v, broadcast(0), zeros);
  });
  return {max_of(best), sum_of(zeros) == 0};
}

// Lanes are added up in double every kRun vectors.
static double sum_exp(const float* x, int n, float max) {
  constexpr int kRun = 64 * kLanes;
  double total = 0;
  for (int at = 0; at < n; at += kRun) {
    V sums = broadcast(0);
    each_vector(x + at, n - at < kRun ? n - at : kRun, -__builtin_inff(), [&](V v, int i) {
      V e = exp(sub(v, broadcast(max)));
      const int left = n - at - i;
      if (left < kLanes) {  // the padding's e^x is small, not 0
        float lanes[kLanes];
        store(lanes, e);
        e = load_n(lanes, left);
      }
      sums = add(sums, e);
    });
    total += sum_of(sums);
  }
  return total;
}

static void temper(const float* x, int n, float max, float temperature, float* out) {
  each_vector(x, n, 0, [&](V v, int i) {
    store_n(out + i, div(sub(v, broadcast(max)), broadcast(temperature)), n - i < kLanes ? n - i : kLanes);
  });
}

static void block_max(const float* x, int n, float* out) {
  for (int at = 0; at < n; at += kVocabBlock) {
    V best = broadcast(x[at]);
    each_vector(x + at, n - at < kVocabBlock ? n - at : kVocabBlock, x[at], [&](V v, int) { best = max(v, best); });
    *out++ = max_of(best);
  }
}

static int select(const float* x, int n, float least, int32_t* ids) {
  int count = 0;
  each_vector(x, n, -__builtin_inff(), [&](V v, int i) {
    uint32_t found = at_least(v, broadcast(least));
    if (n - i < kLanes) found &= (1u << (n - i)) - 1u;
    for (; found; found &= found - 1) ids[count++] = i + __builtin_ctz(found);
  });
  return count;
}

// As philox() of backend/sampling.h, written for the vectoriser.
static void random(uint64_t seed, uint32_t position, uint32_t first, uint32_t* out) {
  uint32_t c0[kVocabBlock], c1[kVocabBlock], c2[kVocabBlock], c3[kVocabBlock];
  for (int i = 0; i < kVocabBlock; ++i) {
    c0[i] = first + static_cast<uint32_t>(i);
    c1[i] = position;
    c2[i] = c3[i] = 0;
  }
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < kVocabBlock; ++i) {
      const uint64_t p0 = uint64_t{0xD2511F53} * c0[i];
      const uint64_t p1 = uint64_t{0xCD9E8D57} * c2[i];
      c0[i] = static_cast<uint32_t>(p1 >> 32) ^ c1[i] ^ k0;
      c2[i] = static_cast<uint32_t>(p0 >> 32) ^ c3[i] ^ k1;
      c1[i] = static_cast<uint32_t>(p1);
      c3[i] = static_cast<uint32_t>(p0);
    }
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  for (int i = 0; i < kVocabBlock; ++i) out[i] = c0[i];
}
