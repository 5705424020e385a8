// One output element is two chains of fma over ascending k, even k and odd k, then even + odd (+ bias), whatever block
// of rows and tiles it is computed in.

// Where a block's weights, first row and outputs lie.
template <typename W>
struct LinearBlock {
  const W* tiles;
  const float* x;
  float* out;
  int64_t first;  // output
};

// M rows times T tiles.
template <int M, int T, typename W>
static void linear_block(const LinearTask& task, const LinearBlock<W>& at) {
  const W* w = at.tiles;
  const float* x = at.x;
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
    const int64_t output = at.first + t * kLanes;
    const int64_t left = task.n - output;
    const int lanes = left < kLanes ? static_cast<int>(left) : kLanes;
    const V bias = task.bias ? load_n(task.bias + output, lanes) : broadcast(0);
    for (int m = 0; m < M; ++m) {
      V sum = add(even[m][t], odd[m][t]);
      if (task.bias) sum = add(sum, bias);
      float* to = at.out + m * task.out_stride + output;
      if (lanes == kLanes)
        store(to, sum);
      else
        store_n(to, sum, lanes);
    }
  }
}

template <typename W>
INLINE void run_block(const LinearTask& task, const LinearBlock<W>& block, int n_rows, int64_t n_tiles) {
  with_constant<kRows>(n_rows, [&](auto rows) {
    constexpr int M = decltype(rows)::value;
    constexpr int most = M <= kFewRows ? kFewRowsTiles : kTiles;
    if (n_tiles == most)
      linear_block<M, most>(task, block);
    else if (n_tiles == kTiles)
      linear_block<M, kTiles>(task, block);
    else
      linear_block<M, 1>(task, block);
  });
}

// Tiles outside, rows inside: weights come from memory once and from the second-level cache for further rows.
template <typename W>
static void linear_of(const LinearTask& task, int64_t tile, int64_t end_tile, int64_t first_row, int64_t end_row) {
  const W* tiles = static_cast<const W*>(task.tiles);
  const int64_t most = end_row - first_row <= kFewRows ? kFewRowsTiles : kTiles;
  while (tile < end_tile) {
    const int64_t n_tiles = end_tile - tile >= most ? most : end_tile - tile >= kTiles ? kTiles : 1;
    for (int64_t row = first_row; row < end_row; row += kRows) {
      const int n_rows = end_row - row < kRows ? static_cast<int>(end_row - row) : kRows;
      run_block<W>(
          task, {tiles + tile * task.tile_size, task.x + row * task.k, task.out + row * task.out_stride, tile * kLanes},
          n_rows, n_tiles);
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
