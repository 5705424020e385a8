// Online softmax (Milakov and Gimelshein 2018) over tiles of 16 keys at absolute positions: for each query head of each
// row the same sequence of operations, however many queries share the tile. Scores are two chains of fma over ascending
// even and odd d; the output is one chain over ascending keys. Keys that a row does not see are never multiplied, so
// that what an earlier sequence left in the block cannot get through. Of int8, the scales of K multiply the tile's
// scores, and those of V its weights.

struct Queries {
  float* q;      // [n, head_dim], scaled by 1 / sqrt(head_dim)
  float* acc;    // [n, padded]
  float* p;      // [n, 16] scores, then weights
  float* sum;    // [n, 16] running sums of the lanes' weights
  float* max;    // [n]
  float* alpha;  // [n] what the earlier tiles are rescaled by
  int64_t padded;
};

// Scales of a tile's 16 keys, null where the cache has none.
struct Scales {
  const float* k;
  const float* v;
};

template <int M, typename C>
static void score_block(const float* q, int head_dim, const C* keys, const float* scales, float* p) {
  V even[M], odd[M];
  for (int m = 0; m < M; ++m) even[m] = odd[m] = broadcast(0);
  for (int d = 0; d < head_dim; d += 2) {
    const V ke = load(keys + d * kLanes);
    const V ko = load(keys + (d + 1) * kLanes);
    for (int m = 0; m < M; ++m) {
      even[m] = fma(broadcast(q[m * head_dim + d]), ke, even[m]);
      odd[m] = fma(broadcast(q[m * head_dim + d + 1]), ko, odd[m]);
    }
  }
  for (int m = 0; m < M; ++m) {
    V score = add(even[m], odd[m]);
    if constexpr (sizeof(C) == 1) score = mul(score, load(scales));
    store(p + m * kLanes, score);
  }
}

// acc = acc * alpha + sum of p[j] V[j] over keys j in [lo, hi). The last load of a V row may run into the next one;
// those lanes land in the padding of acc.
template <int M, int T, typename C>
INLINE void weigh_columns(float* acc, int64_t padded, const float* p, const float* alpha, const C* values, int head_dim,
                          int lo, int hi) {
  V a[M][T];
  for (int m = 0; m < M; ++m)
    for (int t = 0; t < T; ++t) a[m][t] = mul(load(acc + m * padded + t * kLanes), broadcast(alpha[m]));
  for (int j = lo; j < hi; ++j) {
    V v[T];
    for (int t = 0; t < T; ++t) v[t] = load(values + int64_t{j} * head_dim + t * kLanes);
    for (int m = 0; m < M; ++m) {
      const V weight = broadcast(p[m * kLanes + j]);
      for (int t = 0; t < T; ++t) a[m][t] = fma(weight, v[t], a[m][t]);
    }
  }
  for (int m = 0; m < M; ++m)
    for (int t = 0; t < T; ++t) store(acc + m * padded + t * kLanes, a[m][t]);
}

template <int M, typename C>
static void weigh_block(float* acc, int64_t padded, const float* p, const float* alpha, const C* values, int head_dim,
                        int lo, int hi) {
  int d = 0;
  for (; d + kColumns * kLanes <= padded; d += kColumns * kLanes)
    weigh_columns<M, kColumns>(acc + d, padded, p, alpha, values + d, head_dim, lo, hi);
  for (; d < padded; d += kLanes) weigh_columns<M, 1>(acc + d, padded, p, alpha, values + d, head_dim, lo, hi);
}

// block(constant number of queries, first query) for blocks of at most kQueries queries in [begin, end).
template <typename F>
INLINE void in_blocks(int begin, int end, const F& block) {
  for (int at = begin; at < end; at += kQueries)
    with_constant<kQueries>(end - at < kQueries ? end - at : kQueries, [&](auto m) { block(m, at); });
}

// Scores of one query to weights, for keys [lo, hi) of the tile; with `scales`, to weights of V as stored.
INLINE void soften(const Queries& s, int query, int lo, int hi, const float* scales) {
  float* p = s.p + query * kLanes;
  for (int j = 0; j < lo; ++j) p[j] = -__builtin_inff();
  for (int j = hi; j < kLanes; ++j) p[j] = -__builtin_inff();
  const V scores = load(p);
  const float best = max_of(scores);
  const float max = best > s.max[query] ? best : s.max[query];
  // -inf - -inf cannot be: each visited tile has a visible key, whose score is finite or spoils the row as it should.
  s.alpha[query] = 1;
  if (s.max[query] != max) {
    float alpha[kLanes];
    store(alpha, exp(broadcast(s.max[query] - max)));
    s.alpha[query] = alpha[0];
  }
  s.max[query] = max;
  store(p, exp(sub(scores, broadcast(max))));
  for (int j = 0; j < lo; ++j) p[j] = 0;
  for (int j = hi; j < kLanes; ++j) p[j] = 0;
  float* sum = s.sum + query * kLanes;
  store(sum, fma(load(sum), broadcast(s.alpha[query]), load(p)));
  if (scales)
    for (int j = lo; j < hi; ++j) p[j] *= scales[j];
}

INLINE Queries start(const AttendTask& task) {
  const int n = task.n_rows * task.group;
  const int64_t padded = (task.head_dim + kLanes - 1) / kLanes * kLanes;
  Queries s;
  s.padded = padded;
  s.acc = task.scratch;
  s.p = s.acc + n * padded;
  s.sum = s.p + n * kLanes;
  s.q = s.sum + n * kLanes;
  s.max = s.q + int64_t{n} * task.head_dim;
  s.alpha = s.max + n;
  for (int64_t i = 0; i < n * padded; ++i) s.acc[i] = 0;
  for (int i = 0; i < n * kLanes; ++i) s.sum[i] = 0;
  for (int i = 0; i < n; ++i) s.max[i] = -__builtin_inff();
  const float scale = 1.0f / __builtin_sqrtf(static_cast<float>(task.head_dim));
  const int64_t row = int64_t{task.group} * task.head_dim;
  for (int r = 0; r < task.n_rows; ++r)
    for (int64_t i = 0; i < row; ++i) s.q[r * row + i] = task.q[r * task.q_stride + i] * scale;
  return s;
}

INLINE void finish(const AttendTask& task, const Queries& s) {
  for (int r = 0; r < task.n_rows; ++r)
    for (int g = 0; g < task.group; ++g) {
      const int query = r * task.group + g;
      const float sum = sum_of(load(s.sum + query * kLanes));
      float* out = task.out + r * task.out_stride + int64_t{g} * task.head_dim;
      for (int d = 0; d < task.head_dim; ++d) out[d] = s.acc[query * s.padded + d] / sum;
    }
}

template <typename C>
static void attend_of(const AttendTask& task) {
  const Queries s = start(task);
  const int group = task.group, head_dim = task.head_dim, window = task.window;
  const int last = task.position + task.n_rows - 1;
  const int first = window > 0 && task.position >= window ? task.position - window + 1 : 0;
  for (int key = first / kLanes * kLanes; key <= last; key += kLanes) {
    const std::byte* block = task.cache + task.block_table[key / task.block_size] * task.block_stride;
    const int64_t at = int64_t{key % task.block_size} * head_dim;
    const C* keys = reinterpret_cast<const C*>(block) + at;
    const C* values = reinterpret_cast<const C*>(block + task.v_offset) + at;
    Scales scales = {nullptr, nullptr};
    if constexpr (sizeof(C) == 1) {
      scales.k = reinterpret_cast<const float*>(block + task.scales_offset) + key % task.block_size;
      scales.v = scales.k + task.block_size;
    }
    // Rows [begin, end) see some key of the tile: position >= key, and position - window < key + 15.
    const int begin = key > task.position ? key - task.position : 0;
    int end = task.n_rows;
    if (window > 0 && key + kLanes - 1 + window - task.position < end) end = key + kLanes - 1 + window - task.position;

    in_blocks(begin * group, end * group, [&](auto m, int query) {
      score_block<decltype(m)::value>(s.q + int64_t{query} * head_dim, head_dim, keys, scales.k, s.p + query * kLanes);
    });
    const auto weigh = [&](int from, int to, int lo, int hi) {
      in_blocks(from * group, to * group, [&](auto m, int query) {
        weigh_block<decltype(m)::value>(s.acc + query * s.padded, s.padded, s.p + query * kLanes, s.alpha + query,
                                        values, head_dim, lo, hi);
      });
    };
    int whole = begin;  // rows [whole, row) see the whole tile and are weighed together
    for (int row = begin; row < end; ++row) {
      const int position = task.position + row;
      const int lo = window > 0 && position - window + 1 > key ? position - window + 1 - key : 0;
      const int hi = position - key + 1 < kLanes ? position - key + 1 : kLanes;
      for (int g = 0; g < group; ++g) soften(s, row * group + g, lo, hi, scales.v);
      if (lo > 0 || hi < kLanes) {
        weigh(whole, row, 0, kLanes);
        weigh(row, row + 1, lo, hi);
        whole = row + 1;
      }
    }
    weigh(whole, end, 0, kLanes);
  }
  finish(task, s);
}

static void attend(const AttendTask& task) {
  if (task.dtype == DType::BF16)
    attend_of<bf16>(task);
  else if (task.dtype == DType::F16)
    attend_of<f16>(task);
  else if (task.dtype == DType::Int8)
    attend_of<int8_t>(task);
  else
    attend_of<float>(task);
}
