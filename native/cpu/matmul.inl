// One output element is two chains of fma over ascending k, even k and odd k, then even + odd (+ bias), whatever block
// of rows and tiles it is computed in.

// M rows times T tiles, n outputs of them real.
template <int M, int T, typename W>
static void linear_block(const LinearTask& task, const W* w, const float* x, float* out, int64_t first, int64_t n) {
  V even[M][T], odd[M][T];
  for (int m = 0; m < M; ++m)
    for (int t = 0; t < T; ++t) even[m][t] = odd[m][t] = broadcast(0);
  const int64_t k = task.k;
  const int64_t whole = k & ~int64_t{1};
  for (int64_t i = 0; i < whole; i += 2) {
    V we[T], wo[T];
    for (int t = 0; t < T; ++t) load_pair(w + t * task.tile_size + i * kLanes, we[t], wo[t]);
    for (int m = 0; m < M; ++m) {
      const V xe = broadcast(x[m * k + i]);
      const V xo = broadcast(x[m * k + i + 1]);
      for (int t = 0; t < T; ++t) {
        even[m][t] = fma(xe, we[t], even[m][t]);
        odd[m][t] = fma(xo, wo[t], odd[m][t]);
      }
    }
  }
  if (whole < k) {
    for (int t = 0; t < T; ++t) {
      V we, wo;
      load_pair(w + t * task.tile_size + whole * kLanes, we, wo);
      for (int m = 0; m < M; ++m) even[m][t] = fma(broadcast(x[m * k + whole]), we, even[m][t]);
    }
  }
  for (int t = 0; t < T; ++t) {
    const int64_t left = n - t * kLanes;
    const int lanes = left < kLanes ? static_cast<int>(left) : kLanes;
    const V bias = task.bias ? load_n(task.bias + first + t * kLanes, lanes) : broadcast(0);
    for (int m = 0; m < M; ++m) {
      V sum = add(even[m][t], odd[m][t]);
      if (task.bias) sum = add(sum, bias);
      float* to = out + m * task.n + t * kLanes;
      if (lanes == kLanes)
        store(to, sum);
      else
        store_n(to, sum, lanes);
    }
  }
}

template <typename W>
using LinearBlock = void (*)(const LinearTask&, const W*, const float*, float*, int64_t, int64_t);

// Blocks by M - 1 rows, for T = 1 and for the T that fills the registers.
template <typename W, int T, int... M>
struct LinearBlocks {
  static constexpr LinearBlock<W> narrow[] = {linear_block<M, 1, W>...};
  static constexpr LinearBlock<W> wide[] = {linear_block<M, (M <= kFewRows ? kFewRowsTiles : T), W>...};
};

template <typename W>
static void linear_of(const LinearTask& task, int64_t tile, int64_t end_tile, int64_t first_row, int64_t end_row) {
#if defined(GATTLING_AVX512)
  using Blocks = LinearBlocks<W, kTiles, 1, 2, 3, 4, 5, 6>;
#elif defined(GATTLING_AVX2)
  using Blocks = LinearBlocks<W, kTiles, 1, 2, 3>;
#else
  using Blocks = LinearBlocks<W, kTiles, 1, 2>;
#endif
  const int64_t n_rows = end_row - first_row;
  const int64_t wide = n_rows <= kFewRows ? kFewRowsTiles : kTiles;
  const W* tiles = static_cast<const W*>(task.tiles);
  while (tile < end_tile) {
    const int64_t n_tiles = end_tile - tile >= wide ? wide : 1;
    const int64_t first = tile * kLanes;
    for (int64_t row = first_row; row < end_row;) {
      int64_t m = end_row - row < kRows ? end_row - row : kRows;
      // A remainder of few rows has a wider block than this pass over the tiles.
      const bool narrow = n_tiles == 1 || (m <= kFewRows && wide != kFewRowsTiles);
      const int64_t step = narrow ? 1 : n_tiles;
      for (int64_t t = 0; t < n_tiles; t += step) {
        const int64_t at = first + t * kLanes;
        const auto block = narrow ? Blocks::narrow[m - 1] : Blocks::wide[m - 1];
        block(task, tiles + (tile + t) * task.tile_size, task.x + row * task.k, task.out + row * task.n + at, at,
              task.n - at);
      }
      row += m;
    }
    tile += n_tiles;
  }
}

static void linear(const LinearTask& task, int64_t first_tile, int64_t end_tile, int64_t first_row, int64_t end_row) {
  if (task.dtype == DType::BF16)
    linear_of<bf16>(task, first_tile, end_tile, first_row, end_row);
  else if (task.dtype == DType::F16)
    linear_of<f16>(task, first_tile, end_tile, first_row, end_row);
  else
    linear_of<float>(task, first_tile, end_tile, first_row, end_row);
}
