// Passes over one row.

static void rmsnorm(float* residual, const float* delta, const float* scale, float eps, float* out, int64_t n) {
  V squares = broadcast(0);
  for (int64_t i = 0; i < n; i += kLanes) {
    const int lanes = n - i < kLanes ? static_cast<int>(n - i) : kLanes;
    V x = load_n(residual + i, lanes);
    if (delta) {
      x = add(x, load_n(delta + i, lanes));
      store_n(residual + i, x, lanes);
    }
    squares = fma(x, x, squares);
  }
  const float mean = sum_of(squares) / static_cast<float>(n);
  const V inverse = broadcast(1.0f / __builtin_sqrtf(mean + eps));
  for (int64_t i = 0; i < n; i += kLanes) {
    const int lanes = n - i < kLanes ? static_cast<int>(n - i) : kLanes;
    store_n(out + i, mul(mul(load_n(residual + i, lanes), inverse), load_n(scale + i, lanes)), lanes);
  }
}

static void swiglu(const float* gate, const float* up, float* out, int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const int lanes = n - i < kLanes ? static_cast<int>(n - i) : kLanes;
    const V g = load_n(gate + i, lanes);
    const V silu = div(g, add(broadcast(1), exp(sub(broadcast(0), g))));
    store_n(out + i, mul(silu, load_n(up + i, lanes)), lanes);
  }
}
