// Weights in integers times activations in integers. One output element is, for ascending steps, one fma of the exact
// sum and the product of both scales (and one of the offset and the activations' sum), whatever block of rows and tiles
// it is computed in.

// call(Constant<0>), .., call(Constant<N - 1>)
template <int N, typename F>
INLINE void each_constant(const F& call) {
  if constexpr (N > 0) {
    each_constant<N - 1>(call);
    call(Constant<N - 1>{});
  }
}

// Where a block's first tile, first row and outputs lie.
struct IntLinearBlock {
  const std::byte* tiles;
  const Int* x;
  const IntBlock* blocks;
  float* out;
  int64_t first;  // output
};

INLINE V load_as(DType type, const std::byte* plane, int64_t index) {
  if (type == DType::F16) return load(reinterpret_cast<const f16*>(plane) + index);
  return load(reinterpret_cast<const float*>(plane) + index);
}

// Adds the columns of one line of T tiles for M rows.
template <int kBits, int M, int T>
INLINE void add_line(const std::byte* line, int64_t tile_bytes, const Int* x, int64_t depth, Sum (&sum)[M][T]) {
  Line lines[T];
  for (int t = 0; t < T; ++t) lines[t] = load_line(line + t * tile_bytes);
  each_constant<32 / kBits / kColumnsAtOnce>([&](auto part) __attribute__((always_inline)) {
    constexpr int kPart = decltype(part)::value;
    Column w[T];
    for (int t = 0; t < T; ++t) w[t] = column<kBits, kPart>(lines[t]);
    for (int m = 0; m < M; ++m) {
      const Factor factors = factor(x + m * depth + kPart * kColumnsAtOnce);
      for (int t = 0; t < T; ++t) sum[m][t] = multiply(w[t], factors, sum[m][t]);
    }
  });
}

// M rows times T tiles.
template <int kBits, int M, int T>
static void linear_ints_block(const IntLinearTask& task, const IntLinearBlock& at) {
  constexpr int kColumns = 32 / kBits;  // of a line
  const int64_t n_steps = task.depth / task.step;
  const int64_t group_steps = task.group / task.step;
  const std::byte* line = at.tiles;
  const Int* x = at.x;
  const bool offsets = task.offsets_at >= 0;
  constexpr float per_correction = kBits == 8 ? -1.0f / 128 : -1.0f / 8;  // exact: from -zero * sum to sum
  V acc[M][T], scale[T], offset[T];
  for (int t = 0; t < T; ++t) {
    for (int m = 0; m < M; ++m) acc[m][t] = broadcast(0);
    offset[t] = broadcast(0);
  }
  int64_t lane = 0;  // of the group's first in the planes
  for (int64_t step = 0; step < n_steps; lane += kLanes) {
    for (int t = 0; t < T; ++t) {
      const std::byte* tile = at.tiles + t * task.tile_bytes;
      scale[t] = load_as(task.scale_type, tile + task.scales_at, lane);
      if (offsets) offset[t] = load_as(task.offset_type, tile + task.offsets_at, lane);
    }
    const int64_t end = step + group_steps < n_steps ? step + group_steps : n_steps;
    for (; step < end; ++step) {
      Sum sum[M][T];
      for (int m = 0; m < M; ++m)
        for (int t = 0; t < T; ++t) sum[m][t] = first_sum(at.blocks[m * n_steps + step]);
      // Two lines at a time, as every step has an even number of them: the loop's own instructions cost.
      for (int i = 0; i < task.step; i += 2 * kColumns, line += 2 * 64, x += 2 * kColumns) {
        add_line<kBits, M, T>(line, task.tile_bytes, x, task.depth, sum);
        add_line<kBits, M, T>(line + 64, task.tile_bytes, x + kColumns, task.depth, sum);
      }
      for (int m = 0; m < M; ++m) {
        const IntBlock& block = at.blocks[m * n_steps + step];
        const V x_scale = broadcast(block.scale);
        for (int t = 0; t < T; ++t) acc[m][t] = fma(value_of(sum[m][t]), mul(scale[t], x_scale), acc[m][t]);
      }
      for (int m = 0; m < M && offsets; ++m) {
        const IntBlock& block = at.blocks[m * n_steps + step];
        const V x_sum = broadcast(block.scale * (static_cast<float>(block.correction) * per_correction));
        for (int t = 0; t < T; ++t) acc[m][t] = fma(offset[t], x_sum, acc[m][t]);
      }
    }
  }
  for (int t = 0; t < T; ++t) {
    const int64_t output = at.first + t * kLanes;
    const int64_t left = task.n - output;
    const int lanes = left < kLanes ? static_cast<int>(left) : kLanes;
    for (int m = 0; m < M; ++m) {
      V sum = acc[m][t];
      if (task.bias) sum = add(sum, load_n(task.bias + output, lanes));
      store_n(at.out + m * task.out_stride + output, sum, lanes);
    }
  }
}

template <int kBits>
INLINE void run_ints_block(const IntLinearTask& task, const IntLinearBlock& block, int n_rows, int64_t n_tiles) {
  with_constant<kRows>(n_rows, [&](auto rows) {
    constexpr int M = decltype(rows)::value;
    constexpr int most = M <= kFewRows ? kFewRowsTiles : kTiles;
    if (n_tiles == most)
      linear_ints_block<kBits, M, most>(task, block);
    else if (n_tiles == kTiles)
      linear_ints_block<kBits, M, kTiles>(task, block);
    else
      linear_ints_block<kBits, M, 1>(task, block);
  });
}

// Tiles outside, rows inside, as linear_of.
template <int kBits>
static void linear_ints_of(const IntLinearTask& task, int64_t tile, int64_t end_tile, int64_t first_row,
                           int64_t end_row) {
  const int64_t n_steps = task.depth / task.step;
  const int64_t most = end_row - first_row <= kFewRows ? kFewRowsTiles : kTiles;
  while (tile < end_tile) {
    const int64_t n_tiles = end_tile - tile >= most ? most : end_tile - tile >= kTiles ? kTiles : 1;
    for (int64_t row = first_row; row < end_row; row += kRows) {
      const int n_rows = end_row - row < kRows ? static_cast<int>(end_row - row) : kRows;
      const IntLinearBlock block = {task.tiles + tile * task.tile_bytes,
                                    static_cast<const Int*>(task.x) + row * task.depth, task.blocks + row * n_steps,
                                    task.out + row * task.out_stride, tile * kLanes};
      run_ints_block<kBits>(task, block, n_rows, n_tiles);
    }
    tile += n_tiles;
  }
}

static void linear_ints(const IntLinearTask& task, int64_t first_tile, int64_t end_tile, int64_t first_row,
                        int64_t end_row) {
  if (task.bits == 8)
    linear_ints_of<8>(task, first_tile, end_tile, first_row, end_row);
  else
    linear_ints_of<4>(task, first_tile, end_tile, first_row, end_row);
}

// Symmetric, to the nearest, ties to even: the largest magnitude becomes 127. A block below 1e-30 becomes zeros.
static void quantise(const QuantiseTask& task) {
  Int* q = static_cast<Int*>(task.q);
  IntBlock* block = task.blocks;
  const V shift = broadcast(0x1.8p23f), limit = broadcast(0x1.fffffep127f);
  for (int64_t first = 0; first < task.depth; first += task.step, ++block) {
    float gathered[2 * kLanes];
    const float* x = task.x + first;
    if (task.order || first + task.step > task.k) {
      for (int64_t i = first; i < first + task.step; ++i)
        gathered[i - first] = i >= task.k ? 0 : task.x[task.order ? task.order[i] : i];
      x = gathered;
    }
    V largest = broadcast(0), total = broadcast(0);
    bool finite = true;
    for (int i = 0; i < task.step; i += kLanes) {
      const V v = load(x + i), magnitude = max(v, sub(broadcast(0), v));
      finite &= at_least(limit, magnitude) == 0xffff;
      largest = max(largest, magnitude);
    }
    const float peak = max_of(largest);
    const bool some = finite && peak > 1e-30f;
    const V inverse = broadcast(some ? 127.0f / peak : 0.0f);
    for (int i = 0; i < task.step; i += kLanes) {
      const V t = add(mul(load(x + i), inverse), shift);
      store_ints(q + first + i, t);
      total = add(total, sub(t, shift));
    }
    block->scale = some ? peak / 127.0f : finite ? 0.0f : __builtin_nanf("");
    block->correction = finite ? -task.zero * static_cast<int32_t>(sum_of(total)) : 0;
  }
}
